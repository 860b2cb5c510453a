"""Sentences and texts of mixed lengths that the encoder tests share."""

SENTENCES = [
    "My card isn't working abroad.",
    "International transaction declined: foreign use is blocked until you allow it in the app.",
    "How long do sourdough loaves need to rise before baking?",
    "Leave the dough to prove overnight in the fridge, then bake it in a hot oven.",
    "The Hubble telescope orbits the Earth every ninety-five minutes.",
    "A satellite circles our planet about fifteen times a day.",
    "Which process is listening on port 8080?",
    "lsof -i :8080 lists the programs that have the port open.",
    "Le chat dort sur le canapé.",
    "The cat is asleep on the sofa.",
    "no",
    "Photosynthesis turns light, water and carbon dioxide into sugar and oxygen.",
    "Take one tablet twice a day with food, and see a doctor if the fever lasts.",
    "東京の天気は晴れです。",
    "SELECT name FROM users WHERE id = 7;",
    "Rain is forecast for the coast tonight, clearing slowly by Thursday morning.",
    "She sold the house, bought a boat and never wrote to any of us again.",
    "Interest is paid monthly on balances above five hundred euros.",
    "https://example.org/a?b=c#d",
    "Prune roses in late winter, cutting just above an outward-facing bud.",
]

TEXTS = [
    *SENTENCES[:14],
    "",
    " ",
    "no",  # the same text twice
    "?!",
    " ".join(SENTENCES[:5]),
    " ".join(SENTENCES),
    "word " * 400,  # more than the model reads
]
"""About twenty texts from nothing to more than the model reads."""

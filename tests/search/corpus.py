"""A small corpus on six topics, questions about it, and collections that hold it in different ways."""

from __future__ import annotations

from pathlib import Path

from shortlist import Collection, Document

TOPICS = {
    "bank": [
        (
            "International transaction declined",
            "Foreign use of a card is blocked until you allow it in the app.",
        ),
        ("Order a card", "A new card takes five working days and comes by post, without its PIN."),
        ("Lost or stolen card", "Freeze the card at once, then report the theft to the police and to us."),
        ("", "Interest is paid monthly on balances above five hundred euros."),
        ("Overdraft", "If you spend more than you have, we charge a fee of eight euros a month."),
        ("", "To close an account, bring its balance to zero and cancel every standing order."),
        (
            "Exchange rates",
            "Payments in another currency are converted at the rate of the day plus one percent.",
        ),
        ("", "A standing order pays the same amount to the same person every month."),
        ("Locked out", "After three wrong passwords the app stays locked for an hour."),
    ],
    "kitchen": [
        ("Sourdough", "Let the dough rise overnight in the fridge, then bake it in a hot oven with steam."),
        ("", "Knead bread dough until a stretched piece lets light through without tearing."),
        ("Roast chicken", "Salt the bird a day ahead and roast it until the juices run clear."),
        ("", "A pinch of salt in the pasta water is not enough; it should taste like the sea."),
        ("Hollandaise", "Whisk butter into warm egg yolks slowly, or the sauce will split."),
        ("", "Sharp knives are safer than blunt ones, because they don't slip."),
        ("Rice", "Rinse rice until the water is clear, and leave the lid on for ten minutes at the end."),
        ("", "Bicarbonate makes onions brown in half the time."),
        ("Freezing bread", "Slice a loaf before freezing it, and toast the slices without thawing."),
    ],
    "sky": [
        ("Hubble", "The space telescope orbits the Earth every ninety-five minutes."),
        ("", "A total eclipse of the Sun is seen where the shadow of the Moon falls."),
        ("Mars", "Dust storms on Mars can hide the whole planet for weeks."),
        ("", "Light from the nearest star beyond the Sun takes four years to reach us."),
        ("Tides", "The Moon pulls on the oceans, and the Earth turns beneath the bulge."),
        ("", "Jupiter has more than ninety moons, four of which Galileo saw."),
        ("Comets", "The tail of a comet points away from the Sun, whichever way it flies."),
        ("", "Neutron stars pack the mass of the Sun into a ball the size of a city."),
        ("Northern lights", "Particles from the Sun make the air glow near the poles."),
    ],
    "shell": [
        ("lsof", "List open files; lsof -i :8080 shows which process is listening on a port."),
        ("tar", "Create, list and extract archives; tar xf archive.tar unpacks into this folder."),
        ("", "Kill a process by its number with kill, or by its name with pkill."),
        ("df", "Show how much space is free on every disk that is mounted."),
        ("", "ssh-keygen makes a key pair; the public half goes to the server."),
        ("grep", "Print the lines of a file that match a pattern, with their numbers if asked."),
        ("", "A cron job runs a command at fixed times, with almost no environment."),
        ("chmod", "Change who may read, write or run a file."),
        ("", "Redirect errors with 2> and both streams with &>."),
    ],
    "garden": [
        ("Pruning roses", "Prune in late winter, cutting just above an outward-facing bud."),
        ("", "Tomatoes want sun, regular water and a stake before they need one."),
        ("Slugs", "Beer traps catch slugs, and so do hedgehogs."),
        ("", "Turn the compost every month so that air gets in and it heats up."),
        ("Lawn", "Mow often and never more than a third of the height at once."),
        ("", "Sow carrots where they are to grow; they hate being moved."),
        ("Frost", "Cover tender plants with fleece when a clear night is forecast."),
        ("", "Bees visit lavender first and clover all summer."),
        ("Hedges", "Plant a hedge bare-rooted in November and water it for a year."),
    ],
    "health": [
        ("Fever", "See a doctor if a fever lasts more than three days or a child won't drink."),
        ("", "Take one tablet twice a day with food and finish the whole course of antibiotics."),
        ("Sprained ankle", "Rest it, cool it, bandage it and keep it raised."),
        ("", "Adults need seven to nine hours of sleep, teenagers more."),
        ("Sunburn", "Stay out of the sun, drink water and use a cooling lotion."),
        ("", "Wash your hands for twenty seconds to keep a cold from spreading."),
        ("Vaccines", "A vaccine shows the immune system what to look for."),
        ("", "High blood pressure has no symptoms, so have it measured once a year."),
        ("Back pain", "Keep moving; bed rest makes most back pain worse."),
    ],
}

LONG = [
    ("Almanac of sky and garden", ["sky", "garden"]),
    ("Household handbook", ["kitchen", "health", "bank"]),
    ("Everything at once", [*TOPICS]),
]
"""Documents of several passages: all texts of some topics, one after the other."""

TWINS = 4
"""How many documents have the very same text."""


def documents() -> list[Document]:
    """Give 65 documents: nine on each of six topics, long ones, twins and odd ones."""
    found = [
        Document(f"{topic}-{number}", text, title, {"topic": topic, "number": number})
        for topic, texts in TOPICS.items()
        for number, (title, text) in enumerate(texts)
    ]
    for title, topics in LONG:
        text = "\n\n".join(f"{head} {body}".strip() for topic in topics for head, body in TOPICS[topic])
        found.append(Document(f"long-{len(topics)}", text, title, {"topic": "long"}))
    twin = "The ferry to the island leaves at noon and returns before dark."
    found += [Document(f"twin-{letter}", twin, "", {"topic": "twin"}) for letter in "badc"[:TWINS]]
    found += [
        Document("no-words", "?! ... --", "", {"topic": "odd"}),
        Document("stop-words", "the of and to", "", {"topic": "odd"}),
        Document("title-only", "", "Lost property office", {"topic": "odd"}),
        Document(
            "üñí-8", "Die Fähre zur Insel fährt mittags ab. 渡し船は正午に出ます。", "", {"topic": "odd"}
        ),
    ]
    return found


QUERIES = [
    "my card isn't working abroad",
    "which process is listening on port 8080",
    "how long should bread dough rise",
    "moon",
    "when does the ferry leave",
    "the sun, the sun, the sun and the moon",  # a term more than once
    "Fähre 渡し船",
    "xyzzy",  # no document has it
    "the of and",  # stop words only
    "",
]


def build(path: Path) -> Collection:
    """Make a collection of one segment."""
    collection = Collection.create(path)
    collection.add(documents())
    return collection


def build_in_steps(path: Path) -> Collection:
    """Make a collection of the same documents from adds, updates and deletions, in another order."""
    collection = Collection.create(path)
    wanted = documents()
    old = [Document(one.doc_id, f"An older text. {one.text[:40]}") for one in wanted[5:20]]
    gone = [Document(f"gone-{number}", f"moon card dough {number}") for number in range(7)]
    collection.add([*gone, *old, *wanted[40:]])
    collection.add(reversed(wanted[:25]))
    collection.delete([one.doc_id for one in gone])
    collection.add(wanted[25:40])
    collection.delete(["moon-gone", wanted[-1].doc_id])
    collection.add(wanted[-1:])
    return collection

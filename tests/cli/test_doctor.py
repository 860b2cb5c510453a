import fcntl
import json
import os
import platform
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest

import shortlist as package
from shortlist.api import Collection
from shortlist.cli.diagnosis import WIDTH, diagnosis_text
from shortlist.collection import Store, StoreSettings
from shortlist.collection.array_file import BLOCK
from shortlist.doctor import disk, examine, instructions, machine, model, privacy, software, sources
from shortlist.doctor.collection import CollectionHealth, examine_collection
from shortlist.doctor.disk import Disk, examine_disk
from shortlist.doctor.model import examine_model
from shortlist.doctor.privacy import without_names
from shortlist.models import Encoder
from shortlist.models.folders import DEFAULT

from .running import RECORDS, Shortlist, environment, spawn

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="looks at Linux's own files")
SEGMENT = "segments/00000001.safetensors"


def system(root: Path, files: dict[str, str]) -> Path:
    """A root folder with these system files."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


@pytest.fixture
def no_system_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without /proc and /sys; a test may add files."""
    root = tmp_path / "root"
    root.mkdir()
    monkeypatch.setattr(sources, "ROOT", root)
    return root


@pytest.fixture
def mac(monkeypatch: pytest.MonkeyPatch, no_system_files: Path) -> dict[tuple[str, ...], str]:
    """A Mac that prints these outputs; its other commands are missing."""
    assert no_system_files.exists()
    outputs: dict[tuple[str, ...], str] = {}
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    for module in (machine, instructions, disk):
        monkeypatch.setattr(module, "command_output", lambda *words: outputs.get(words, ""))
    return outputs


def flip_byte(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 0xFF
    path.write_bytes(content)


def what(health: CollectionHealth) -> list[str]:
    return [problem.what for problem in health.problems]


class TestSoftware:
    def test_versions_are_those_that_run(self) -> None:
        found = software.examine_software()
        assert found.shortlist == package.__version__
        said = subprocess.run(
            [sys.executable, "--version"], capture_output=True, text=True, check=True
        ).stdout
        assert found.python.split()[0] == said.split()[1]
        assert found.required["numpy"] == np.__version__
        assert found.required["onnxruntime"] == onnxruntime.__version__
        assert found.required["PyStemmer"] == version("PyStemmer")
        assert found.providers == tuple(onnxruntime.get_available_providers())
        assert found.machine == os.uname().machine
        assert found.system == f"{os.uname().sysname} {os.uname().release}"

    @LINUX
    def test_libc_is_the_systems(self) -> None:
        assert software.examine_software().libc == os.confstr("CS_GNU_LIBC_VERSION")

    def test_an_absent_package_has_no_version_and_reads_absent(
        self, monkeypatch: pytest.MonkeyPatch, shortlist: Shortlist
    ) -> None:
        def missing(name: str) -> str:
            if name == "pyarrow":
                raise PackageNotFoundError(name)
            return version(name)

        monkeypatch.setattr(software, "version", missing)
        monkeypatch.delitem(sys.modules, "pyarrow", raising=False)
        assert software.examine_software().optional["pyarrow"] == ""
        assert "pyarrow absent" in " ".join(shortlist("doctor").out.split())

    @pytest.mark.parametrize("threads", [1, 2])
    def test_blas_threads_are_those_that_were_asked_for(self, threads: int) -> None:
        if software.examine_software().blas_threads is None:
            pytest.skip("numpy runs on another BLAS than OpenBLAS")
        code = "from shortlist.doctor.software import examine_software as e; print(e().blas_threads)"
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60,
            env=environment(OPENBLAS_NUM_THREADS=str(threads)),
        )  # fmt: skip
        assert int(done.stdout) == min(threads, os.cpu_count() or 1)

    def test_blas_is_the_one_numpy_was_built_with(self) -> None:
        built = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
        assert software.examine_software().blas == f"{built['name']} {built['version']}"

    def test_optional_packages_are_not_imported(self) -> None:
        code = """
import sys
from shortlist.cli.main import main
main(["doctor"])
sys.exit(str({"torch", "sentence_transformers", "pyarrow"} & set(sys.modules) or ""))
"""
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.stderr.strip() == ""

    @pytest.mark.parametrize(
        ("origin", "code", "expected"),
        [
            (None, "site/shortlist", "wheel, {root}/site/shortlist"),
            ({"dir_info": {"editable": True}, "url": "file://{root}/my%20code"}, "my code/src/shortlist",
             "editable, {root}/my code/src/shortlist"),
            ({"dir_info": {"editable": True}, "url": "file://{root}/my%20code"}, "other/shortlist",
             "runs from {root}/other/shortlist, beside an installed 9.9"),
            (None, "other/shortlist", "runs from {root}/other/shortlist, beside an installed 9.9"),
            ("nonsense", "site/shortlist", "wheel, {root}/site/shortlist"),
        ],
        ids=["wheel", "editable", "editable elsewhere", "another checkout", "origin unreadable"],
    )  # fmt: skip
    def test_the_kind_of_installation_is_told(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, origin: Any, code: str, expected: str
    ) -> None:
        about = tmp_path / "site" / "shortlist-9.9.dist-info"
        about.mkdir(parents=True)
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: shortlist\nVersion: 9.9\n")
        if origin is not None:
            (about / "direct_url.json").write_text(json.dumps(origin).replace("{root}", str(tmp_path)))
        monkeypatch.syspath_prepend(tmp_path / "site")
        assert software._installation(tmp_path / code) == expected.format(root=tmp_path)

    def test_code_that_is_not_installed_says_so(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr(sys, "path", [str(tmp_path)])
        assert (
            software._installation(tmp_path / "shortlist") == f"not installed, runs from {tmp_path}/shortlist"
        )


class TestMachine:
    @LINUX
    def test_facts_are_the_systems(self) -> None:
        found = machine.examine_machine()
        cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        assert found.processor in " ".join(cpuinfo.split())
        assert found.cores_total == os.cpu_count()
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        assert found.memory_bytes == pytest.approx(pages, rel=0.02)
        assert found.memory_available_bytes is not None
        assert 0 < found.memory_available_bytes <= pages

    @LINUX
    def test_only_the_cores_of_our_affinity_are_usable(self) -> None:
        before = os.sched_getaffinity(0)
        try:
            os.sched_setaffinity(0, {min(before)})
            assert machine.examine_machine().cores_usable == 1
        finally:
            os.sched_setaffinity(0, before)
        assert machine.examine_machine().cores_usable == len(before)

    def test_limits_that_are_set_are_shown(self) -> None:
        kept = {name: resource.getrlimit(name) for name in (resource.RLIMIT_NOFILE, resource.RLIMIT_AS)}
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (321, kept[resource.RLIMIT_NOFILE][1]))
            resource.setrlimit(resource.RLIMIT_AS, (1 << 45, kept[resource.RLIMIT_AS][1]))
            found = machine.examine_machine()
        finally:
            for name, values in kept.items():
                resource.setrlimit(name, values)
        assert (found.open_files, found.limits_bytes["RLIMIT_AS"]) == (321, 1 << 45)

    @pytest.mark.parametrize(
        ("files", "quota", "limit"),
        [
            ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max": "300000 100000\n",
              "sys/fs/cgroup/a/cpu.max": "150000 100000\n", "sys/fs/cgroup/a/memory.max": "1000000\n",
              "sys/fs/cgroup/a/b/memory.max": "max\n"}, 1.5, 1_000_000),
            ({"proc/self/cgroup": "5:cpu,cpuacct:/d\n4:memory:/d\n0::/\n",
              "sys/fs/cgroup/cpu/d/cpu.cfs_quota_us": "50000\n",
              "sys/fs/cgroup/cpu/d/cpu.cfs_period_us": "100000\n",
              "sys/fs/cgroup/memory/d/memory.limit_in_bytes": "2000000\n"}, 0.5, 2_000_000),
            ({"proc/self/cgroup": "5:cpu:/\n4:memory:/\n", "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
              "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
              "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, None, None),
            ({"proc/self/cgroup": "0::/gone\n", "sys/fs/cgroup/gone/cpu.max": "max 100000\n",
              "sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2, None),
            ({"proc/self/cgroup": "nonsense\n\n::\n"}, None, None),
        ],
        ids=["version 2, around us", "version 1", "no limits", "none of our own", "nonsense"],
    )  # fmt: skip
    def test_limits_of_control_groups(
        self, no_system_files: Path, files: dict[str, str], quota: float | None, limit: int | None
    ) -> None:
        system(no_system_files, files)
        found = machine.examine_machine()
        assert (found.cores_quota, found.limits_bytes.get("control group")) == (quota, limit)

    def test_variables_that_set_threads_are_shown_and_no_others(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in machine.VARIABLES:
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("OMP_NUM_THREADS", "3")
        monkeypatch.setenv("SHORTLIST_SECRET", "hunter2")
        found = machine.examine_machine()
        assert found.variables == {"OMP_NUM_THREADS": "3"}
        assert "hunter2" not in repr(examine())

    def test_nothing_fails_without_system_files(self, no_system_files: Path, shortlist: Shortlist) -> None:
        assert list(no_system_files.iterdir()) == []
        found = machine.examine_machine()
        assert (found.processor, found.cores_quota) == ("unknown", None)
        assert found.memory_bytes == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        assert found.memory_available_bytes is None
        outcome = shortlist("doctor")
        assert (outcome.code, outcome.err) == (0, "")
        assert "unknown available" in outcome.out

    def test_a_mac_is_asked_with_sysctl(self, mac: dict[tuple[str, ...], str]) -> None:
        mac["sysctl", "-n", "machdep.cpu.brand_string"] = "Apple M3\n"
        mac["sysctl", "hw.optional"] = (
            "hw.optional.arm.FEAT_DotProd: 1\nhw.optional.arm.FEAT_I8MM: 0\nhw.optional.neon: 1\n"
        )
        assert machine.examine_machine().processor == "Apple M3"
        found = set(instructions.instruction_sets())
        assert {"neon", "asimddp"} <= found
        assert "i8mm" not in found

    @LINUX
    def test_instruction_sets_are_those_of_the_system_and_numpys(self) -> None:
        found = set(instructions.instruction_sets())
        flags = {flag for line in Path("/proc/cpuinfo").read_text().splitlines()
                 if line.startswith(("flags", "Features")) for flag in line.split()}  # fmt: skip
        assert found >= flags & set(instructions.KNOWN)
        if platform.machine() == "x86_64":
            assert ("avx2" in found) == ("avx2" in flags)

    def test_instruction_sets_of_an_arm_processor(
        self, no_system_files: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(instructions, "_numpys", set)
        assert instructions.instruction_sets() == ()
        system(no_system_files, {"proc/cpuinfo": "processor\t: 0\nFeatures\t: fp asimd asimddp i8mm\n"})
        assert instructions.instruction_sets() == ("neon", "asimddp", "i8mm")

    def test_numpy_alone_knows_some(self, no_system_files: Path) -> None:
        assert no_system_files.exists()
        features = {
            name: on
            for name, on in import_module("numpy._core._multiarray_umath").__cpu_features__.items()
            if on
        }
        found = set(instructions.instruction_sets())
        assert ("avx2" in found) == ("AVX2" in features)
        assert ("avx512_vnni" in found) == ("AVX512VNNI" in features)
        assert ("neon" in found) == ("NEON" in features)

    def test_a_command_that_is_missing_or_hangs_gives_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert sources.command_output("no-such-command-here") == ""
        assert sources.command_output("echo", "found") == "found\n"
        monkeypatch.setattr(sources, "_WAIT_S", 0.05)
        assert sources.command_output("sleep", "5") == ""


@contextmanager
def unprivileged() -> Iterator[None]:
    """Go on as nobody where we are root, whom the system refuses nothing."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


class TestDisk:
    def test_room_is_the_systems(self, tmp_path: Path) -> None:
        found, usage = examine_disk(tmp_path), shutil.disk_usage(tmp_path)
        assert found.size_bytes == usage.total
        assert found.free_bytes == pytest.approx(usage.free, abs=5e8)
        assert (found.read_only, found.refused, found.problems) == (False, "", ())

    @LINUX
    @pytest.mark.parametrize("folder", ["/", "/proc", "/dev/shm", "."])
    def test_the_file_system_is_the_one_that_df_names(self, folder: str) -> None:
        if not Path(folder).exists():
            pytest.skip(f"no {folder} here")
        words = ["df", "--output=fstype", folder]
        said = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()[-1]
        assert disk._file_system(Path(folder)) == said

    def test_mounts_are_read_with_their_odd_names(self, no_system_files: Path, tmp_path: Path) -> None:
        folder = tmp_path / "my disk" / "c"
        folder.mkdir(parents=True)
        point = str(folder.parent.resolve()).replace(" ", "\\040")
        lines = ["1 1 8:1 / / rw - ext4 /dev/a rw", f"2 1 8:2 / {point} rw shared:1 - nfs4 host:/x rw", "bad"]
        system(no_system_files, {"proc/self/mountinfo": "\n".join(lines)})
        assert disk._file_system(folder) == "nfs4"
        assert disk._file_system(tmp_path) == "ext4"

    def test_mounts_of_a_mac(self, mac: dict[tuple[str, ...], str], tmp_path: Path) -> None:
        mac[("mount",)] = "/dev/disk3 on / (apfs, sealed, local)\ndevfs on /dev (devfs, local)\n"
        assert disk._file_system(tmp_path) == "apfs"

    def test_an_unknown_file_system_is_called_so(self, no_system_files: Path) -> None:
        assert examine_disk(no_system_files).file_system == "unknown"

    def test_the_time_is_that_of_a_sync(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        sizes, clock = [], iter([0.0, 0.1, 1.0, 1.002, 2.0, 2.003, 3.0, 3.001, 4.0, 4.004])
        monkeypatch.setattr(os, "fsync", lambda file: sizes.append(os.fstat(file).st_size))
        monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
        assert examine_disk(tmp_path).sync_ms == 3.0, "the median"
        assert sizes == [4096] * 5
        assert list(tmp_path.iterdir()) == [], "nothing is left behind"

    def test_a_folder_that_may_not_be_written_to_is_described_all_the_same(self) -> None:
        folder = Path(tempfile.mkdtemp())
        try:
            folder.chmod(0o555)
            with unprivileged():
                found = examine_disk(folder)
        finally:
            folder.rmdir()
        assert (found.sync_ms, found.refused, found.problems) == (None, "Permission denied", ())
        assert found.size_bytes

    def refused(self, monkeypatch: pytest.MonkeyPatch, flag: int) -> Disk:
        room = SimpleNamespace(f_blocks=100, f_frsize=4096, f_bavail=0, f_flag=flag)
        monkeypatch.setattr(os, "statvfs", lambda _: room)
        return examine_disk(Path())

    def test_a_full_disk_is_a_problem(self, monkeypatch: pytest.MonkeyPatch) -> None:
        (problem,) = self.refused(monkeypatch, 0).problems
        assert problem.what == ".: 0.0 MB are free"
        assert "free some space" in problem.remedy

    def test_a_read_only_disk_is_none(self, monkeypatch: pytest.MonkeyPatch, shortlist: Shortlist) -> None:
        found = self.refused(monkeypatch, os.ST_RDONLY)
        assert (found.read_only, found.problems) == (True, ())
        assert ", read-only, " in " ".join(shortlist("doctor").out.split())


class TestModel:
    def test_the_model_that_comes_along_is_well(self, encoder: Encoder) -> None:
        found = examine_model()
        assert (found.name, found.fingerprint) == (encoder.settings.name, encoder.settings.fingerprint)
        assert (found.loads, found.problems) == (True, ())
        assert found.load_ms
        assert found.encode_ms
        vectors = [Encoder.load(mode=mode).encode([model._SENTENCE])[0] for mode in ("fast", "exact")]
        assert found.cosine == pytest.approx(float(vectors[0] @ vectors[1]), abs=1e-5)

    @pytest.mark.parametrize(
        "name", ["weights.safetensors", "tokenizer.json", "graph.fast.onnx", "graph.exact.onnx"]
    )
    def test_a_damaged_file_is_named_with_what_to_do(self, tmp_path: Path, name: str) -> None:
        shutil.copytree(DEFAULT, tmp_path / "m")
        flip_byte(tmp_path / "m" / name, 100)
        found = examine_model(tmp_path / "m")
        (problem,) = found.problems
        assert (found.name, found.loads) == ("all-minilm-l6-v2", False)
        assert f"{name}: " in problem.what
        assert "pip install --force-reinstall shortlist" in problem.remedy

    def test_a_missing_model_is_a_problem(self, tmp_path: Path) -> None:
        found = examine_model(tmp_path / "gone")
        assert (found.name, found.loads) == ("gone", False)
        assert "no such model folder" in found.problems[0].what

    @pytest.mark.parametrize(("wrong", "cosine"), [(-1.0, -1), (np.nan, None)], ids=["other vectors", "NaN"])
    def test_modes_that_disagree_are_a_problem(
        self, monkeypatch: pytest.MonkeyPatch, wrong: float, cosine: float | None
    ) -> None:
        def encode(self: Encoder, texts: Sequence[str], **_: Any) -> Any:
            return np.full((len(texts), 4), wrong if self.mode == "exact" else 1.0, np.float32)

        monkeypatch.setattr(Encoder, "encode", encode)
        found = examine_model()
        assert found.cosine == cosine
        assert "disagree" in found.problems[0].what

    def test_an_encoder_that_fails_is_a_problem(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def encode(*_: Any, **__: Any) -> Any:
            raise RuntimeError("illegal instruction")

        monkeypatch.setattr(Encoder, "encode", encode)
        found = examine_model()
        assert (found.loads, found.encode_ms) == (True, None)
        assert "can't encode: illegal instruction" in found.problems[0].what


class TestCollections:
    def test_a_sound_one_is_described(self, collection: Path) -> None:
        with Collection.open(collection) as opened:
            opened.delete(["order"])
            info = opened.info()
        found = examine_collection(collection, deep=True)
        assert found.problems == ()
        assert (found.format, found.generation, found.segments) == (
            info.format,
            info.generation,
            info.segments,
        )
        assert (
            (found.documents, found.deleted_documents) == (info.documents, info.deleted_documents) == (2, 1)
        )
        assert (found.model, found.fingerprint, found.mode) == (info.model, info.fingerprint, info.mode)
        files = [file for file in collection.rglob("*.safetensors") if file.is_file()]
        assert found.size_bytes == sum(file.stat().st_size for file in files)
        assert (found.model_found, found.unfinished, found.leftovers, found.writer) == (True, "", 0, "")
        assert found.made_by == package.__version__

    def test_looking_changes_nothing(self, collection: Path) -> None:
        (collection / "segments" / "00000099.safetensors").write_bytes(b"left by a crash")
        (collection / "writer.lock").unlink(missing_ok=True)

        def content() -> dict[str, bytes]:
            return {str(file): file.read_bytes() for file in collection.rglob("*") if file.is_file()}

        before = content()
        examine([collection], deep=True)
        assert content() == before

    @pytest.mark.parametrize("deep", [False, True])
    def test_a_segment_that_is_too_short_is_found(self, collection: Path, deep: bool) -> None:
        os.truncate(collection / SEGMENT, (collection / SEGMENT).stat().st_size - 1)
        found = examine_collection(collection, deep=deep)
        assert len(found.problems) == 1
        assert str(collection / SEGMENT) in found.problems[0].what
        assert f"shortlist repair {collection}" in found.problems[0].remedy

    def test_a_missing_segment_is_found(self, collection: Path) -> None:
        (collection / SEGMENT).unlink()
        assert what(examine_collection(collection)) == [f"{collection / SEGMENT}: is missing"]

    def test_one_wrong_byte_is_found_by_reading_all(self, collection: Path) -> None:
        flip_byte(collection / SEGMENT, BLOCK + 10)  # of the token vectors
        assert examine_collection(collection).problems == ()
        assert "checksum" in what(examine_collection(collection, deep=True))[0]

    def test_a_damaged_generation_is_found(self, collection: Path) -> None:
        flip_byte(collection / "generation.safetensors", -1)
        found = examine_collection(collection)
        assert found.generation is None
        assert "generation.safetensors" in what(found)[0]

    @pytest.mark.parametrize("kind", ["nothing", "empty folder", "file"])
    def test_what_is_no_collection_is_a_problem(self, tmp_path: Path, kind: str) -> None:
        path = tmp_path / "c"
        if kind == "empty folder":
            path.mkdir()
        elif kind == "file":
            path.write_text("x")
        (problem,) = examine_collection(path).problems
        expected = "does not exist" if kind == "nothing" else "is not a collection"
        assert (problem.what, problem.remedy) == (
            f"{path}: {expected}", f"create it: shortlist index {path} SOURCE",
        )  # fmt: skip

    def test_a_newer_format_is_a_problem(self, collection: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with monkeypatch.context() as patch, Collection.open(collection) as opened:
            patch.setattr("shortlist.collection.array_file.FORMAT", 7)
            opened.delete(["order"])
        (problem,) = examine_collection(collection).problems
        assert "format 7, written by shortlist" in problem.what
        assert "upgrade shortlist" in problem.remedy

    def test_an_older_format_is_a_problem(self, tmp_path: Path) -> None:
        (tmp_path / "collection.db").write_bytes(b"")
        found = examine_collection(tmp_path)
        assert found.format == 1
        assert "collection format 1" in what(found)[0]
        assert found.problems[0].remedy == f"upgrade it: shortlist upgrade {tmp_path}"

    def test_a_model_that_has_moved_is_a_problem(self, tmp_path: Path) -> None:
        shutil.copytree(DEFAULT, tmp_path / "m")
        Collection.create(tmp_path / "c", model=tmp_path / "m").close()
        assert examine_collection(tmp_path / "c").problems == ()
        (tmp_path / "m").rename(tmp_path / "elsewhere")
        found = examine_collection(tmp_path / "c")
        assert found.model_found is False
        assert "no such model folder" in what(found)[0]
        assert "--model FOLDER" in found.problems[0].remedy

    def test_a_model_that_is_another_one_is_a_problem(self, tmp_path: Path) -> None:
        shutil.copytree(DEFAULT, tmp_path / "m")
        Collection.create(tmp_path / "c", model=tmp_path / "m").close()
        with (tmp_path / "m" / "model.json").open("a") as file:
            file.write("\n")
        found = examine_collection(tmp_path / "c")
        assert found.model_found is False
        assert "encoded by all-minilm-l6-v2" in what(found)[0]

    def test_an_interrupted_build_is_a_problem_unless_it_goes_on(
        self, tmp_path: Path, store_settings: StoreSettings
    ) -> None:
        store = Store.create(tmp_path / "c", store_settings, unfinished="articles.jsonl")
        found = examine_collection(tmp_path / "c")
        assert found.unfinished == "articles.jsonl"
        assert "indexing articles.jsonl was interrupted" in what(found)[0]
        assert "index the same source" in found.problems[0].remedy
        with store.writer():
            going_on = examine_collection(tmp_path / "c")
        assert (going_on.unfinished, going_on.problems) == ("articles.jsonl", ())

    def test_leftovers_are_counted_and_no_problem(self, collection: Path) -> None:
        (collection / "segments" / "00000099.safetensors").write_bytes(b"x")
        (collection / "generation.new").write_bytes(b"x")
        found = examine_collection(collection)
        assert (found.leftovers, found.problems) == (2, ())

    def test_a_writer_in_another_process_is_named_without_its_host(
        self, collection: Path, shortlist: Shortlist
    ) -> None:
        code = (
            "import sys; from pathlib import Path; from shortlist.collection import Store\n"
            "with Store(Path(sys.argv[1])).writer(): print('held', flush=True); sys.stdin.read()"
        )
        words = [sys.executable, "-c", code, str(collection)]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            assert process.stdin
            assert process.stdout.readline() == "held\n"
            found, outcome = examine_collection(collection), shortlist("doctor", collection)
            process.stdin.close()
            process.wait(timeout=60)
        assert (found.writer, found.problems) == (f"process {process.pid}", ())
        assert f"  writing      process {process.pid}\n" in outcome.out
        assert outcome.code == 0
        assert examine_collection(collection).writer == ""

    def test_the_lock_is_let_go_at_once(self, collection: Path) -> None:
        (collection / "writer.lock").touch()
        found = examine_collection(collection)
        with (collection / "writer.lock").open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert found.writer == ""

    def test_a_folder_that_may_not_be_read_is_a_problem(self, indexed: Path) -> None:
        folder = Path(tempfile.mkdtemp())
        shutil.copytree(indexed, folder / "c")
        try:
            (folder / "c").chmod(0o000)
            with unprivileged():
                found = examine([folder / "c", folder / "c" / "inside"])
        finally:
            (folder / "c").chmod(0o755)
            shutil.rmtree(folder)
        assert [len(one.problems) for one in found.collections] == [1, 1]
        assert "Permission denied" in what(found.collections[0])[0]

    def test_a_collection_on_a_folder_that_is_read_only_is_well(self, indexed: Path) -> None:
        folder = Path(tempfile.mkdtemp())
        folder.chmod(0o755)
        shutil.copytree(indexed, folder / "c")
        try:
            for path in [folder / "c", *(folder / "c").rglob("*")]:
                path.chmod(0o555 if path.is_dir() else 0o444)
            with unprivileged():
                found = examine_collection(folder / "c", deep=True)
        finally:
            for path in [folder / "c", *(folder / "c").rglob("*")]:
                path.chmod(0o755)
            shutil.rmtree(folder)
        assert (found.documents, found.problems, found.writer) == (len(RECORDS), (), "")


class TestPrivacy:
    @pytest.fixture(autouse=True)
    def somebody(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(privacy, "_homes", lambda: ["/home/ada"])
        monkeypatch.setattr(privacy, "_users", lambda: ["ada"])
        monkeypatch.setattr(privacy, "_hosts", lambda: ["engine.example.org", "engine"])

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("/home/ada/notes", "~/notes"),
            ("/home/ada", "~"),
            ("/home/ada: does not exist", "~: does not exist"),
            ("failed (/home/ada/x), '/home/ada/y'", "failed (~/x), '~/y'"),
            ("/home/adamant/x", "/home/adamant/x"),
            ("/data/home/ada/x", "/data/home/USER/x"),
            ("/media/ada/disk/c", "/media/USER/disk/c"),
            ("process 7 on engine", "process 7 on HOST"),
            ("engine.example.org:/export", "HOST:/export"),
            ("engines and search-engine", "engines and search-engine"),
            ("ada.shortlist", "ada.shortlist"),
        ],
    )
    def test_names_of_people_and_machines_are_left_out(self, text: str, expected: str) -> None:
        assert without_names(text) == expected


def test_the_real_names_are_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.setenv("HOME", str(tmp_path / "link"))
    monkeypatch.setattr(socket, "gethostname", lambda: "engine.example.org")
    assert without_names(f"{tmp_path}/real/x {tmp_path}/link/y") == "~/x ~/y"
    assert without_names("engine, engine.example.org") == "HOST, HOST"


class TestTheCommand:
    def test_a_sound_machine_and_collection_end_with_code_0(
        self, shortlist: Shortlist, collection: Path
    ) -> None:
        outcome = shortlist("doctor", collection)
        assert (outcome.code, outcome.err) == (0, "")
        lines = outcome.out.splitlines()
        assert lines[0].startswith(f"shortlist      {package.__version__}, ")
        assert lines[-1] == "no problem found"
        labels = [line[:15].strip() for line in lines if line[:1].strip()]
        assert labels[:12] == [
            "shortlist", "python", "system", "packages", "optional", "blas", "onnxruntime",
            "processor", "instructions", "kernels", "memory", "variables",
        ]  # fmt: skip

    def test_every_problem_is_a_line_with_what_to_do_and_the_code_is_3(
        self, shortlist: Shortlist, collection: Path, tmp_path: Path
    ) -> None:
        os.truncate(collection / SEGMENT, 5000)
        outcome = shortlist("doctor", collection, tmp_path / "gone")
        assert (outcome.code, outcome.err) == (3, "")
        first, second = "".join(outcome.out.split()).split("problem:")[1:]  # a long path may be broken
        mend = f"mend it from its documents: shortlist repair {collection}; or restore a backup"
        assert first.endswith("->" + mend.replace(" ", ""))
        gone = f"{tmp_path}/gone: does not exist -> create it: shortlist index {tmp_path}/gone SOURCE"
        assert second == gone.replace(" ", "")
        assert "no problem found" not in outcome.out

    @pytest.mark.parametrize("deep", [False, True])
    def test_deep_reads_every_byte(self, shortlist: Shortlist, collection: Path, deep: bool) -> None:
        flip_byte(collection / SEGMENT, BLOCK + 10)  # of the token vectors
        assert shortlist("doctor", collection, *(["--deep"] if deep else [])).code == (3 if deep else 0)

    def test_json_holds_all_of_it(self, shortlist: Shortlist, collection: Path, tmp_path: Path) -> None:
        found = examine([collection, tmp_path / "gone"])
        outcome = shortlist("doctor", collection, tmp_path / "gone", "--json")
        assert outcome.code == 3
        values = outcome.json
        assert values.pop("sound") is False
        assert values.pop("deep") is False
        expected = json.loads(json.dumps(asdict(found)))
        assert values["collections"] == expected["collections"]
        assert values["software"] == expected["software"]
        assert {k: v.keys() for k, v in values.items() if isinstance(v, dict)} == {
            k: v.keys() for k, v in expected.items() if isinstance(v, dict)
        }
        assert values.keys() == expected.keys()
        assert json.loads(json.dumps(values, allow_nan=False)) == values

    def test_a_real_process_shows_neither_home_nor_traceback(self, indexed: Path, tmp_path: Path) -> None:
        home = tmp_path / "ada-lovelace"
        shutil.copytree(indexed, home / "c")
        os.truncate(home / "c" / SEGMENT, 5000)
        for words in ([], ["--json"]):
            outcome = spawn("doctor", home / "c", home / "gone", *words, HOME=str(home))
            assert (outcome.code, outcome.err) == (3, "")
            assert "~/c" in outcome.out
            assert "ada-lovelace" not in outcome.out
            assert "Traceback" not in outcome.out
            assert socket.gethostname() not in outcome.out.split()

    def test_the_text_fits_and_steers_no_terminal(self, tmp_path: Path) -> None:
        path = tmp_path / ("long " * 20 + "\x1b[31m\n" + "name" * 40)
        text = diagnosis_text(examine([path]))
        assert max(map(len, text.splitlines())) <= WIDTH == 100
        assert "\x1b" not in text
        assert all(line.rstrip() == line for line in text.splitlines())

    def test_help_does_not_load_it(self) -> None:
        code = """
import sys
from shortlist.cli.main import main
try:
    main(["doctor", "--help"])
except SystemExit:
    pass
sys.exit(str({name for name in sys.modules if name.startswith("shortlist.doctor") or name == "numpy"} or ""))
"""
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.stderr.strip() == ""
        assert "--deep" in done.stdout

"""Reading ahead, threads, and what the slim path may import."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from hf_lambda import deadline
from hf_lambda.errors import LoadFailed, Unprocessable
from hf_lambda.onnx_engine.session import Prefetch, open_session
from tests import tiny_seq2seq
from tests.families import others_slow
from tests.tiny_encoders import TEXTS
from warmup.prepare import PrepareRequest, prepare

REPOSITORY = Path(__file__).parents[3]
_HEAVY = ("torch", "transformers", "huggingface_hub", "onnx", "requests", "httpx", "safetensors")
MB = 1 << 20


def test_the_dense_part_of_every_file_is_read_once_and_the_embeddings_are_not(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(bytes(5 * MB))
    (tmp_path / "b").write_bytes(bytes(2 * MB))
    read = []
    preadv = os.preadv

    def spy(descriptor, buffers, offset):
        read.append((_target(descriptor), offset))
        return preadv(descriptor, buffers, offset)

    monkeypatch.setattr(os, "preadv", spy)
    Prefetch(tmp_path, {"a": 3 * MB + 10, "b": MB}).wait()
    assert sorted(read) == [("a", 0), ("a", MB), ("a", 2 * MB), ("a", 3 * MB), ("b", 0)]


def test_reading_ahead_runs_in_parallel_and_leaves_no_file_open(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(bytes(16 * MB))
    together = threading.Barrier(16, timeout=20)  # breaks unless all sixteen read at the same time
    preadv = os.preadv

    def spy(*arguments):
        together.wait()
        return preadv(*arguments)

    monkeypatch.setattr(os, "preadv", spy)
    Prefetch(tmp_path, {"a": 16 * MB}).wait()
    descriptors = [path.name for path in Path("/proc/self/fd").iterdir()]
    assert "a" not in [
        _target(descriptor) for descriptor in descriptors if Path("/proc/self/fd", descriptor).is_symlink()
    ]


def _target(descriptor):
    return Path("/proc/self/fd", str(descriptor)).readlink().name


@pytest.mark.parametrize("task", others_slow(["text-classification", "summarization"], "text-classification"))
def test_weights_are_on_their_way_before_anything_heavy_is_imported(pair, tmp_path, task):
    if task == "summarization":
        snapshot = tiny_seq2seq.build("bart", tmp_path / "snapshot")
        request = PrepareRequest(task, "a/b", "c" * 40, snapshot, precision="fp32")
        prepared = Path(prepare(request, into=tmp_path, isolated=False).path)
    else:
        prepared = pair(task).prepared
    script = (
        "import sys; from pathlib import Path; import hf_lambda.onnx_engine as engine\n"
        "seen = []\n"
        "def begin(folder, dense):\n"
        "    heavy = {'numpy', 'onnxruntime', 'tokenizers'} & set(sys.modules)\n"
        "    seen.append((folder, sum(dense.values()) > 0, heavy))\n"
        "engine.Prefetch = begin\n"
        "engine.load(sys.argv[1], Path(sys.argv[2]))(['ok'])\n"
        "assert seen == [(Path(sys.argv[2]), True, set())], seen"
    )
    environ = {"PYTHONPATH": str(REPOSITORY), "PATH": ""}
    command = [sys.executable, "-c", script, task, str(prepared)]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_nothing_to_read_is_nothing_to_wait_for(tmp_path):
    Prefetch(tmp_path, {}).wait()


@pytest.mark.parametrize(
    ("memory_mb", "threads", "setting", "value"),
    [
        ("1769", 1, "spin_duration_us", "1000"),
        ("1024", 1, "allow_spinning", "0"),
        (None, None, "allow_spinning", "0"),
    ],
)
def test_threads_follow_the_memory_and_spin_briefly_and_only_on_whole_cpus(
    pair, memory_mb, threads, setting, value
):
    environ = {} if memory_mb is None else {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": memory_mb}
    session = open_session(pair("text-classification").prepared / "model.onnx", environ)
    options = session.get_session_options()
    assert options.intra_op_num_threads == (threads or len(os.sched_getaffinity(0)))
    assert options.get_session_config_entry(f"session.intra_op.{setting}") == value
    other = {"spin_duration_us", "allow_spinning"} - {setting}
    with pytest.raises(RuntimeError):
        options.get_session_config_entry(f"session.intra_op.{other.pop()}")


def test_matrices_are_copied_for_the_cpu_unless_told_otherwise(pair):
    graph = pair("text-classification").prepared / "model.onnx"
    feeds = {name: np.ones((1, 4), np.int64) for name in ("input_ids", "attention_mask", "token_type_ids")}
    answers = []
    for prepack, setting in ((True, None), (False, "1")):
        session = open_session(graph, {}, prepack=prepack)
        given = {entry.name: feeds[entry.name] for entry in session.get_inputs()}
        answers.append(session.run(None, given)[0])
        if setting:
            key = "session.disable_prepacking"
            assert session.get_session_options().get_session_config_entry(key) == setting
    np.testing.assert_allclose(answers[0], answers[1], atol=1e-5)


@pytest.mark.parametrize(
    ("task", "given", "options"),
    [
        ("text-classification", TEXTS, {"truncation": True}),
        ("zero-shot-classification", TEXTS, {"candidate_labels": list("abcdefgh")}),
        ("token-classification", [" ".join(TEXTS)] * 3, {"aggregation_strategy": "simple", "stride": 20}),
        ("question-answering", [{"question": "who?", "context": " ".join(TEXTS)}] * 3, {}),
        ("fill-mask", [f"{text} [MASK]" for text in TEXTS], {}),
        ("feature-extraction", TEXTS * 2, {}),
    ],
)
def test_no_batch_is_larger_than_the_bound_however_long_the_list(pair, monkeypatch, task, given, options):
    fast = pair(task).fast
    session, shapes = fast._encoder._session, []

    class Watched:
        def run(self, outputs, feeds):
            shapes.append(feeds["input_ids"].shape)
            return session.run(outputs, feeds)

    monkeypatch.setattr(fast._encoder, "_session", Watched())
    monkeypatch.setattr("hf_lambda.onnx_engine.encoder.MAX_TOKENS", 200)
    fast(given, **options)
    assert len(shapes) > 2
    assert max(rows * width for rows, width in shapes) <= 200
    widths = [width for _, width in shapes]
    assert widths == sorted(widths, reverse=True)


@pytest.mark.parametrize(
    ("task", "given", "options"),
    [
        ("text-classification", "the coffee is wonderful", {}),
        ("zero-shot-classification", "the coffee is wonderful", {"candidate_labels": ["food", "travel"]}),
        ("token-classification", "Marie Curie", {"aggregation_strategy": "average"}),
        ("question-answering", {"question": "who?", "context": "Marie Curie was"}, {}),
        ("fill-mask", "the [MASK] is", {}),
        ("feature-extraction", "the coffee", {"pooling": "mean", "normalize": True}),
    ],
)
def test_the_slim_path_imports_neither_torch_nor_transformers(pair, task, given, options):
    script = (
        "import json, sys; from pathlib import Path\n"
        "from hf_lambda.onnx_engine import load\n"
        "task, prepared, given, options = json.loads(sys.argv[1])\n"
        "answer = load(task, Path(prepared))([given], **options)\n"
        f"print(json.dumps([answer, [name for name in {_HEAVY!r} if name in sys.modules]]))"
    )
    arguments = json.dumps([task, str(pair(task).prepared), given, options])
    output = subprocess.run(
        [sys.executable, "-c", script, arguments],
        env={"PYTHONPATH": str(REPOSITORY), "PATH": ""},
        capture_output=True,
        check=True,
        timeout=60,
    ).stdout
    answer, heavy = json.loads(output)
    assert heavy == []
    assert len(answer) == 1


@pytest.fixture
def session(tmp_path):
    """A graph that gives back what it gets."""
    import onnx
    from onnx import TensorProto, helper

    given, answer = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y"))
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "same", [given], [answer])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "model.onnx")
    return open_session(tmp_path / "model.onnx", {})


def test_no_graph_is_run_any_more_once_the_time_is_up(session):
    import onnxruntime

    feeds = {"x": np.ones(1, np.float32)}
    values = {"x": onnxruntime.OrtValue.ortvalue_from_numpy(feeds["x"])}
    binding = session.io_binding()
    binding.bind_cpu_input("x", feeds["x"])
    binding.bind_output("y")
    ways = (
        lambda: session.run(None, feeds),
        lambda: session.run_with_ort_values(None, values),
        lambda: session.run_with_iobinding(binding),
    )
    for run in ways:
        run()
        deadline.begin(SimpleNamespace(get_remaining_time_in_millis=lambda: 0))
        try:
            with pytest.raises(Unprocessable, match="timeoutSeconds"):
                run()
        finally:
            deadline.end()


@pytest.mark.timeout(60)
def test_a_run_that_goes_past_the_deadline_is_stopped_in_its_middle(tmp_path):
    """onnxruntime looks at `RunOptions.terminate` between two nodes; here each turn of a loop has one."""
    session = _looping(tmp_path, turns=1 << 62)
    for milliseconds in (400, 200):  # the second one earlier than what the first had set
        deadline.begin(SimpleNamespace(get_remaining_time_in_millis=lambda left=milliseconds: left))
        try:
            with pytest.raises(Unprocessable, match="timeoutSeconds"):
                session.run(None, {})
        finally:
            deadline.end()


def test_a_run_that_fails_in_time_fails_as_it_did(session):
    deadline.begin(SimpleNamespace(get_remaining_time_in_millis=lambda: 60_000))
    try:
        with pytest.raises(Exception, match="INVALID_ARGUMENT"):
            session.run(None, {"x": np.ones((2, 2), np.float32)})
        assert session.run(None, {"x": np.ones(1, np.float32)})[0].tolist() == [1.0]
    finally:
        deadline.end()


def _looping(folder, turns):
    """A session over a graph that goes on for `turns`."""
    import onnx
    from onnx import TensorProto, helper

    scalar = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, []) for name in ("x", "more", "y")}
    flags = [helper.make_tensor_value_info(name, TensorProto.BOOL, []) for name in ("go", "goes")]
    turn = helper.make_tensor_value_info("turn", TensorProto.INT64, [])
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["goes"]), helper.make_node("Cos", ["x"], ["more"])],
        "body",
        [turn, flags[0], scalar["x"]],
        [flags[1], scalar["more"]],
    )
    initial = [
        helper.make_tensor("turns", TensorProto.INT64, [], [turns]),
        helper.make_tensor("yes", TensorProto.BOOL, [], [True]),
        helper.make_tensor("start", TensorProto.FLOAT, [], [1.0]),
    ]
    loop = helper.make_node("Loop", ["turns", "yes", "start"], ["y"], body=body)
    graph = helper.make_graph([loop], "looping", [], [scalar["y"]], initializer=initial)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "loop.onnx")
    return open_session(folder / "loop.onnx", {})


def test_a_graph_that_is_none_is_a_failure_to_load(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(LoadFailed, match=r"model\.onnx"):
        open_session(tmp_path / "model.onnx", {})

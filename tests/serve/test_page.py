"""The web page in a real Chromium: a file, a microphone, trouble, and no request that leaves this machine."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import soundfile

from affectra.serve import Limits
from browser import CHROMIUM, Page, browse
from serving import CLASSES, RATE, LoudnessModel, Running, running

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; Debian's package is called chromium")
RESULT = "!document.querySelector('#result').hidden"
MICROPHONE = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")


def text(selector: str) -> str:
    return f"document.querySelector({json.dumps(selector)}).innerText"


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four loud seconds of noise, then four soft ones."""
    path = tmp_path_factory.mktemp("recording") / "loud, then soft.wav"
    loudness = np.repeat([0.9, 0.02], 4 * RATE)
    soundfile.write(path, loudness * np.random.default_rng(0).uniform(-1, 1, len(loudness)), RATE)
    return path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("page"), limits=Limits(upload_bytes=1 << 20)) as running_server:
        yield running_server


@pytest.fixture(scope="module")
def tab(recording: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    heard = f"--use-file-for-fake-audio-capture={recording}"
    with browse(tmp_path_factory.mktemp("profile"), *MICROPHONE, heard) as page:
        yield page


@pytest.fixture
def page(tab: Page, server: Running) -> Iterator[Page]:
    """The page, just opened; afterwards nothing has left this machine and nothing was complained of."""
    tab.requests.clear()
    tab.complaints.clear()
    tab.resize(1280, 800)
    tab.open(server.url)
    yield tab
    assert tab.complaints == []
    hosts = {urlsplit(url).hostname for url in tab.requests if not url.startswith("blob:")}
    assert hosts == {"127.0.0.1"}


def test_the_page_says_what_it_is_and_that_audio_stays_here(page: Page) -> None:
    said = page.run("document.body.innerText")
    for words in ("which emotion a voice expresses", "often wrong", "stays on this machine", "CC0-1.0", "loudness"):
        assert words in said
    assert page.run("document.documentElement.lang") == "en"


def test_a_file_is_drawn_second_by_second(page: Page, recording: Path) -> None:
    page.choose("#file", recording)
    page.wait(RESULT)
    assert page.run(text("#answer-word")) == "Sounds angry" and "loud, then soft.wav, 0:08" in page.run(text("#source"))
    lanes = "[...document.querySelectorAll('.lane')]"
    assert page.run(f"{lanes}.map(lane => lane.dataset.class)") == list(CLASSES)
    assert page.run(f"{lanes}.every(lane => lane.querySelector('.edge').getAttribute('d').split('L').length === 9)")
    assert page.run("[...document.querySelectorAll('.run')].map(run => run.textContent)") == ["anger", "sadness"]
    assert page.run(
        "!document.querySelector('#plane-card').hidden && document.querySelectorAll('.trail circle').length > 0"
    )


def test_the_table_has_a_row_for_each_second(page: Page, recording: Path) -> None:
    page.choose("#file", recording)
    page.wait(RESULT)
    page.run("document.querySelector('#table-box').open = true")
    page.wait("document.querySelectorAll('#table tbody tr').length === 8")
    heads = page.run("[...document.querySelectorAll('#table th')].map(head => head.textContent)")
    assert heads == ["from", "to", "answer", *CLASSES, "arousal", "valence"]


def test_the_cursor_seeks_by_mouse_and_by_keys_and_playing_moves_it(page: Page, recording: Path) -> None:
    page.choose("#file", recording)
    page.wait("!document.querySelector('#play').hidden && document.querySelector('#audio').readyState > 2")
    page.click(".seek")  # its middle
    assert page.run("document.querySelector('#audio').currentTime") == pytest.approx(4, abs=0.1)
    page.run("document.querySelector('.seek').focus()")
    page.press("ArrowRight")
    slider = "document.querySelector('.seek').getAttribute"
    assert float(page.run(f"{slider}('aria-valuenow')")) == pytest.approx(5, abs=0.1)
    assert page.run(f"{slider}('aria-valuetext')").startswith("0:05, sad, ")
    page.press("Home")
    assert page.run(f"{slider}('aria-valuetext')").startswith("0:00, angry, ")
    page.click("#play")
    page.wait("document.querySelector('#audio').currentTime > 0.3")
    assert page.run(text("#play")) == "Pause"
    left = "parseFloat(document.querySelector('.cursor').style.left)"
    assert page.run(left) > 2
    page.click("#play")
    page.wait("document.querySelector('#audio').paused")


def test_answers_are_saved_with_the_columns_of_the_command_line(page: Page, recording: Path) -> None:
    page.choose("#file", recording)
    page.wait(RESULT)
    page.run("window.saved = {}")
    # What is handed to the user is caught where it is made.
    page.run(
        "const made = Blob; window.Blob = class extends made { constructor(p, o) { super(p, o); window.parts = p; } }"
    )
    page.run("HTMLAnchorElement.prototype.click = function () { window.saved[this.download] = window.parts[0]; }")
    page.click("#save-csv")
    page.click("#save-json")
    saved = page.run("window.saved")
    scores = [f"score_{name}" for name in CLASSES]
    fields = ["file", "start", "end", "emotion", "confidence", *scores, "arousal", "valence", "flags"]
    lines = saved["loud, then soft-emotion.csv"].splitlines()
    assert lines[0] == ",".join(fields) and len(lines) == 9 and lines[1].startswith('"loud, then soft.wav",0,1,anger,')
    rows = json.loads(saved["loud, then soft-emotion.json"])
    assert [list(row) for row in rows] == [fields] * 8


def test_the_microphone_is_heard_live_and_then_as_a_whole(page: Page) -> None:
    page.click("#record")
    page.wait("document.querySelectorAll('.lane').length && document.querySelector('.lane-value').textContent")
    assert page.run(text("#record")) == "Stop" and "Microphone" in page.run(text("#source"))
    assert page.wait("Number(document.querySelector('#level').getAttribute('aria-valuenow'))") > 10
    first = page.run(text("#source"))
    page.wait(f"{text('#source')} !== {json.dumps(first)}")  # another second, another answer
    page.click("#record")
    page.wait("!document.querySelector('#play').hidden && document.querySelector('#working').hidden")
    assert page.run(text("#record")) == "Record" and "Your recording" in page.run(text("#source"))
    assert page.run("document.querySelector('#audio').duration") > 1.9
    assert page.run("document.querySelector('#level').hidden && document.querySelector('#trouble').hidden")
    assert any(url.startswith("ws://127.0.0.1") for url in page.requests)


def test_answers_that_come_late_and_a_mute_microphone_are_said(tab: Page, tmp_path: Path) -> None:
    class Slow(LoudnessModel):
        def answer(self, *arguments: object, **options: object) -> object:  # type: ignore[override]
            time.sleep(6)
            return super().answer(*arguments, **options)  # type: ignore[arg-type]

    hint = text("#record-hint")
    with running(tmp_path, Slow(), Limits(shutdown_s=0.5)) as server:
        tab.open(server.url)
        tab.click("#record")
        tab.wait(f"{hint}.startsWith('Busy: the answers are 4 s behind')")
        tab.send("Page.navigate", url="about:blank")
    with running(tmp_path) as server:
        tab.open(server.url)
        tab.run(
            "(() => { const real = AudioContext.prototype.createMediaStreamSource; AudioContext.prototype."
            "createMediaStreamSource = function (media) { const gain = this.createGain(); gain.gain.value = 0;"
            " real.call(this, media).connect(gain); return gain; }; })()"
        )
        tab.click("#record")
        tab.wait(f"{hint}.startsWith('I hear nothing')")
        tab.send("Page.navigate", url="about:blank")


def test_what_is_refused_is_said_in_plain_words(tab: Page, server: Running, tmp_path: Path) -> None:
    tab.open(server.url)
    bad = tmp_path / "letter.wav"
    bad.write_bytes(b"Dear Anna")
    tab.choose("#file", bad)
    tab.wait("!document.querySelector('#trouble').hidden")
    assert tab.run(text("#trouble")).startswith("Letter.wav: is not audio")
    large = tmp_path / "large.wav"
    large.write_bytes(bytes(2 << 20))
    tab.choose("#file", large)
    tab.wait(f"{text('#trouble')}.includes('takes up to 1 MB')")


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("NotAllowedError", "not allowed"),
        ("NotFoundError", "No microphone was found"),
        ("NotReadableError", "another program"),
    ],
)
def test_a_microphone_that_cannot_be_had_is_explained(page: Page, fault: str, says: str) -> None:
    refuse = f"Promise.reject(new DOMException('', '{fault}'))"
    page.run(f"navigator.mediaDevices.getUserMedia = () => {refuse}; 1")
    page.click("#record")
    page.wait("!document.querySelector('#trouble').hidden")
    assert says in page.run(text("#trouble")) and page.run(text("#record")) == "Record"


def test_a_server_that_is_gone_is_named(tab: Page, recording: Path, tmp_path: Path) -> None:
    with running(tmp_path) as server:
        tab.open(server.url)
        tab.click("#record")
        tab.wait("document.querySelector('.lane-value')?.textContent")
    tab.wait("!document.querySelector('#trouble').hidden")
    assert "stopped" in tab.run(text("#trouble")) and tab.run(text("#record")) == "Record"
    assert tab.run(RESULT)  # what was heard so far stays
    tab.choose("#file", recording)
    tab.wait(f"{text('#trouble')}.includes('does not answer')")


def test_a_model_without_dimensions_has_no_plane(tab: Page, recording: Path, tmp_path: Path) -> None:
    with running(tmp_path, LoudnessModel(dimensions=False)) as server:
        tab.open(server.url)
        tab.choose("#file", recording)
        tab.wait(RESULT)
        assert tab.run("document.querySelector('#plane-card').hidden")


def test_the_model_card_is_drawn_and_is_never_markup(page: Page) -> None:
    page.run("document.querySelector('#card-box').open = true")
    assert page.run("document.querySelector('#card th').textContent") == "corpus"
    assert page.run("document.querySelector('#card li strong').textContent") == "Loud"
    assert "<img src=x>" in page.run(text("#card")) and page.run("document.querySelectorAll('#card img').length") == 0


def test_silence_is_said_to_be_silence(page: Page, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "nothing.wav", np.zeros(2 * RATE), RATE)
    page.choose("#file", tmp_path / "nothing.wav")
    page.wait(RESULT)
    assert page.run(text("#answer-word")) == "Cannot tell"
    assert page.run(text("#flags")) == "There is no sound in it."
    assert "Cannot tell" in page.run("document.querySelector('#spoken').textContent")


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_is_wider_than_the_window(page: Page, recording: Path, width: int) -> None:
    page.resize(width, 740)
    page.choose("#file", recording)
    page.wait(RESULT)
    page.run("document.querySelector('#table-box').open = true")
    assert page.run("document.documentElement.scrollWidth") <= width


CONTRAST = """
(() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgb = (color) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
                           return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const linear = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const light = (c) => c.slice(0, 3).map((v) => linear(v / 255))
                        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (e) => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor);
                          if (c[3] === 255) return c; } return [255, 255, 255]; };
  const found = [];
  for (const e of document.querySelectorAll("body *")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.checkVisibility() || e.closest("svg, .narrow, .unseen")) continue;
    const [a, b] = [light(rgb(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) found.push([e.className || e.tagName, ((a + 0.05) / (b + 0.05)).toFixed(2)]);
  }
  return found;
})()
"""


@pytest.mark.parametrize("dark", [False, True])
def test_every_text_stands_out_from_its_ground(page: Page, recording: Path, dark: bool) -> None:
    page.resize(1280, 800, dark=dark)
    page.choose("#file", recording)
    page.wait(RESULT)
    assert page.run(CONTRAST) == []  # WCAG 2.2, level AA


def test_everything_one_can_do_is_reached_by_keyboard_and_has_a_name(page: Page, recording: Path) -> None:
    page.choose("#file", recording)
    page.wait("!document.querySelector('#play').hidden")
    page.run("document.activeElement.blur(); scrollTo(0, 0)")
    reached = []
    for _ in range(9):
        page.send("Input.dispatchKeyEvent", type="rawKeyDown", key="Tab", code="Tab", windowsVirtualKeyCode=9)
        page.send("Input.dispatchKeyEvent", type="keyUp", key="Tab", code="Tab", windowsVirtualKeyCode=9)
        reached.append(
            page.run("document.activeElement.id || document.activeElement.className || document.activeElement.tagName")
        )
    assert reached[:7] == ["record", "file", "seek", "play", "save-json", "save-csv", "SUMMARY"]
    nameless = page.run(
        "[...document.querySelectorAll('button, input, [role=slider], [role=meter], [role=img], section, table')]"
        ".filter((e) => !(e.innerText || e.ariaLabel || e.labels?.length || e.getAttribute('aria-labelledby')"
        " || e.closest('details'))).map((e) => e.outerHTML)"
    )
    assert nameless == []

"""The page in a real browser, before a real server with real files."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from linewatch_common.messages import Command, CommandResult, ModelRefused, Outcome, decode
from linewatch_common.messages.alerts import AlertKind

from tests.integration.dashboard.bench import PageBench, defect, mask, page_bench, picture
from tests.unit.dashboard.messages import agent_beat, frame

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CHROMIUM = Path("/usr/bin/chromium")
pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason="Debian's chromium is not installed")

SIZES = {"panel": (1280, 800), "wall": (1920, 1080), "phone": (390, 844)}
HOSTILE = """<img src=x onerror="window.hacked=1">"><script>window.hacked=2</script>'&lt;{{7*7}}"""
WAIT_MS = 30_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as tool:
        arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        chromium = tool.chromium.launch(executable_path=str(CHROMIUM), args=arguments)
        yield chromium
        chromium.close()


class Pulse:
    """Keeps the components' heartbeats going."""

    def __init__(self, bench: PageBench) -> None:
        self._bench = bench
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.camera = True

    def _run(self) -> None:
        while not self._end.wait(0.5):
            self._bench.beat(camera=self.camera)

    def __enter__(self) -> "Pulse":
        self._bench.beat(camera=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[PageBench]:
    with page_bench(tmp_path, stale_after_seconds=60.0) as made, Pulse(made):
        yield made


class Screen:
    """One open page, and everything that the browser complained about."""

    def __init__(self, browser: Any, bench: PageBench, size: str = "panel") -> None:
        width, height = SIZES[size]
        self.page = browser.new_page(viewport={"width": width, "height": height})
        self.page.set_default_timeout(WAIT_MS)
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self._note(message.type, message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(bench.url)

    def _note(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(text)

    def wait(self, condition: str, argument: Any = None) -> None:
        self.page.wait_for_function(condition, arg=argument)

    def wait_for_part(self, part: str) -> None:
        self.wait("part => document.getElementById('part-id').textContent === part", part)

    def text(self, name: str) -> str:
        return str(self.page.locator(f"#{name}").inner_text())

    def pixel(self, x: int, y: int) -> list[int]:
        """Red, green and blue of the canvas where the picture's pixel (x, y) is drawn."""
        script = """([x, y]) => {
            const canvas = document.getElementById('canvas');
            const scale = canvas.width / 64;
            return [...canvas.getContext('2d').getImageData((x + 0.5) * scale, (y + 0.5) * scale, 1, 1).data].slice(0, 3);
        }"""
        return [int(value) for value in self.page.evaluate(script, [x, y])]


@pytest.fixture
def screen(browser: Any, bench: PageBench) -> Iterator[Screen]:
    opened = Screen(browser, bench)
    yield opened
    opened.page.close()


def near(pixel: list[int], wanted: list[int], tolerance: int = 12) -> bool:
    return all(abs(a - b) <= tolerance for a, b in zip(pixel, wanted, strict=True))


def test_word_sign_and_colour_tell_every_outcome_apart(bench: PageBench, screen: Screen) -> None:
    looks: dict[str, tuple[str, str]] = {}
    for number, outcome in enumerate(Outcome):
        judged = Outcome.FAIL if outcome is Outcome.LATE else None
        bench.inspect(number, outcome, jpeg=picture(100), part_id=f"part-{number}", judged=judged)
        screen.wait_for_part(f"part-{number}")
        assert screen.text("word") == outcome.value.upper()
        look = screen.page.evaluate(
            "() => [document.getElementById('sign').getAttribute('href'),"
            " getComputedStyle(document.getElementById('verdict')).backgroundColor]"
        )
        assert screen.page.evaluate("href => document.querySelector(href) !== null", look[0])
        looks[outcome] = (look[0], look[1])
    assert len({sign for sign, _ in looks.values()}) == len(Outcome)
    assert len({colour for _, colour in looks.values()}) == len(Outcome)


def test_the_mask_is_drawn_over_the_picture_and_can_be_switched_and_faded(bench: PageBench, screen: Screen) -> None:
    screen.page.keyboard.press("b")  # no boxes over the pixels that are read
    bench.inspect(1, Outcome.FAIL, jpeg=picture(128), png=mask(16, 16, 16, 16), part_id="p")
    screen.wait_for_part("p")
    masked, bare = (23, 23), (50, 40)
    assert near(screen.pixel(*bare), [128, 128, 128])
    assert near(screen.pixel(*masked), [204, 80, 180])  # 0.6 of the mask's magenta over grey
    screen.page.keyboard.press("m")
    assert near(screen.pixel(*masked), [128, 128, 128])
    screen.page.click("#mask-button")
    screen.page.fill("#opacity", "100")
    assert near(screen.pixel(*masked), [255, 48, 214])
    assert near(screen.pixel(*bare), [128, 128, 128])


def test_boxes_are_drawn_where_the_defects_are(bench: PageBench, screen: Screen) -> None:
    bench.inspect(1, Outcome.FAIL, jpeg=picture(60), part_id="p", defects=[defect(20, 24, 20, 12)], defects_total=1)
    screen.wait_for_part("p")

    def brightest_on_row() -> int:
        script = """y => {
            const canvas = document.getElementById('canvas');
            const row = canvas.getContext('2d').getImageData(0, y * canvas.height / 48, canvas.width, 1).data;
            return Math.max(...row.filter((_, index) => index % 4 !== 3));
        }"""
        return int(screen.page.evaluate(script, 30))

    assert brightest_on_row() > 240
    assert near(screen.pixel(30, 30), [60, 60, 60])
    screen.page.click("#boxes-button")
    assert brightest_on_row() < 80


def test_picture_and_words_on_the_screen_always_belong_together(bench: PageBench, screen: Screen) -> None:
    bench.inspect(0, jpeg=picture(0), part_id="part-0")
    screen.wait_for_part("part-0")
    screen.page.evaluate("""() => {
        window.samples = [];
        const canvas = document.getElementById('canvas');
        window.sampler = setInterval(() => {
            if (!canvas.width) return;
            const grey = canvas.getContext('2d').getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data[0];
            window.samples.push([document.getElementById('part-id').textContent, canvas.dataset.frameId, grey]);
        }, 5);
    }""")
    for number in range(1, 50):
        bench.inspect(number, jpeg=picture(number * 5), part_id=f"part-{number}")
        screen.page.wait_for_timeout(30)
    screen.wait_for_part("part-49")
    samples = screen.page.evaluate("() => { clearInterval(window.sampler); return window.samples; }")
    parts = {part for part, _, _ in samples}
    assert len(parts) > 5
    for part, frame_id, grey in samples:
        number = int(part.removeprefix("part-"))
        assert frame_id == frame(number)
        assert abs(grey - number * 5) <= 2, f"{part} beside a picture of {grey / 5:.1f}"


def test_after_silence_the_picture_is_greyed_and_says_why(browser: Any, tmp_path: Path) -> None:
    with page_bench(tmp_path, stale_after_seconds=1.0) as bench, Pulse(bench):
        screen = Screen(browser, bench)
        bench.inspect(1, jpeg=picture(90), part_id="p-1")
        screen.wait_for_part("p-1")
        screen.wait("() => document.body.dataset.stale === 'yes'")
        assert screen.text("stale").startswith("no new part for")
        grey = "() => getComputedStyle(document.getElementById('canvas')).filter"
        assert "grayscale" in screen.page.evaluate(grey)
        bench.inspect(2, jpeg=picture(90), part_id="p-2")
        screen.wait("() => document.body.dataset.stale === 'no'")
        assert screen.page.evaluate(grey) == "none"
        screen.page.close()


def test_a_silent_camera_is_told_at_once(bench: PageBench, screen: Screen) -> None:
    bench.inspect(1, jpeg=picture(90), part_id="p")
    screen.wait_for_part("p")
    assert screen.page.evaluate("document.body.dataset.stale") == "no"
    bench.raise_alert(AlertKind.CAMERA_SILENT, "no frame for 60 s")
    screen.wait("() => document.body.dataset.stale === 'yes'")
    assert screen.text("stale").startswith("camera silent")
    assert "no frame for 60 s" in screen.text("alerts")


def test_a_lost_server_is_told_and_the_page_comes_back_with_it(bench: PageBench, screen: Screen) -> None:
    bench.inspect(1, jpeg=picture(90), part_id="p-1")
    screen.wait_for_part("p-1")
    bench.stop()
    screen.wait("() => document.getElementById('stale').textContent.startsWith('connection lost')")
    assert screen.page.evaluate("document.body.dataset.stale") == "yes"
    assert screen.text("connection") == "connection lost"
    bench.start()
    screen.wait("() => document.getElementById('connection').textContent === 'connected'")
    bench.inspect(2, Outcome.FAIL, jpeg=picture(90), part_id="p-2")
    screen.wait_for_part("p-2")
    screen.wait("() => document.body.dataset.stale === 'no'")


def test_hostile_words_stay_words(bench: PageBench, screen: Screen) -> None:
    bench.say(bench.topics.status, agent_beat(classifier=(HOSTILE[:40], "1<b>0</b>")))
    bench.say(bench.topics.models, ModelRefused(identifier=HOSTILE[:100], nonce="n", reason=HOSTILE))
    bench.raise_alert(AlertKind.DISK_LOW, HOSTILE, station=HOSTILE[:60])
    bench.inspect(
        1,
        Outcome.FAIL,
        jpeg=picture(90),
        part_id=HOSTILE[:128],
        reason=HOSTILE,
        defects=[defect(8, 8, 8, 8, defect_class=HOSTILE)],
        defects_total=1,
        timings_ms={HOSTILE: 1.0},
    )
    screen.wait_for_part(HOSTILE[:128])
    screen.wait("() => document.querySelectorAll('#rejects .thumb img').length === 1")
    screen.wait("() => !document.getElementById('model-event').hidden && !document.getElementById('alerts').hidden")
    assert screen.text("reason") == HOSTILE
    assert screen.page.evaluate("window.hacked") is None
    assert screen.page.evaluate("document.querySelectorAll('b, script:not([src]), img').length") == 1  # the thumbnail
    assert screen.complaints == []


def test_a_verdict_without_a_picture_leaves_no_old_picture(bench: PageBench, screen: Screen) -> None:
    bench.inspect(1, jpeg=picture(200), part_id="p-1")
    screen.wait_for_part("p-1")
    bench.inspect(2, Outcome.FAIL, part_id="p-2")
    screen.wait_for_part("p-2")
    assert screen.text("no-picture") == "picture not stored"
    assert not screen.page.locator("#canvas").is_visible()


def test_a_picture_that_cannot_be_decoded_leaves_no_old_picture(bench: PageBench, screen: Screen) -> None:
    bench.inspect(1, jpeg=picture(200), part_id="p-1")
    screen.wait_for_part("p-1")
    bench.inspect(2, Outcome.FAIL, jpeg=b"\xff\xd8 no JPEG", part_id="p-2")
    screen.wait_for_part("p-2")
    assert screen.text("word") == "FAIL"
    assert screen.text("no-picture") == "the picture cannot be decoded"
    assert not screen.page.locator("#canvas").is_visible()


def test_a_reject_is_shown_on_request_by_keyboard_and_never_as_live(bench: PageBench, screen: Screen) -> None:
    bench.inspect(1, Outcome.FAIL, jpeg=picture(40), part_id="bad")
    screen.wait("() => document.querySelectorAll('#rejects button').length === 1")
    bench.inspect(2, jpeg=picture(200), part_id="good")
    screen.wait_for_part("good")
    screen.page.locator("#rejects button").focus()
    screen.page.keyboard.press("Enter")
    screen.wait_for_part("bad")
    assert screen.text("past").startswith("NOT LIVE")
    assert near(screen.pixel(32, 24), [40, 40, 40])
    bench.inspect(3, jpeg=picture(250), part_id="later")
    screen.wait("() => document.getElementById('past').textContent.includes('line now: PASS later')")
    assert screen.text("part-id") == "bad"
    screen.page.keyboard.press("Escape")
    screen.wait_for_part("later")
    assert not screen.page.locator("#past-bar").is_visible()


def test_a_verdict_can_be_overruled(bench: PageBench, screen: Screen) -> None:
    answered = bench.core.bus()

    def answer(raw: bytes) -> None:
        command = decode(raw, Command)
        accepted = command.label == "pass"
        result = CommandResult(
            command_id=command.command_id, component="com.linewatch.Inspector", accepted=accepted, reason="not now"
        )
        threading.Thread(target=bench.say, args=(bench.topics.command_results, result)).start()

    answered.subscribe(bench.topics.commands, answer)
    bench.inspect(1, Outcome.FAIL, jpeg=picture(40), part_id="p")
    screen.wait_for_part("p")
    screen.page.keyboard.press("h")
    screen.page.click("#overrule")
    screen.wait("() => document.getElementById('notice').textContent === 'p is labelled pass'")
    screen.page.click("#confirm")
    screen.wait("() => document.getElementById('notice').textContent === 'not written: not now'")


@pytest.mark.parametrize("size", SIZES)
def test_it_fits_the_screen_and_fingers(browser: Any, bench: PageBench, size: str) -> None:
    screen = Screen(browser, bench, size)
    defects = [defect(20, 24, 20, 12)]
    for number in range(10):
        bench.inspect(
            number, Outcome.FAIL, jpeg=picture(40), part_id=f"part-{number}", defects=defects, defects_total=1
        )
    screen.wait("() => document.querySelectorAll('#rejects button').length === 8")
    small = """() => [...document.querySelectorAll('button, input')].filter((element) => {
        const { width, height } = element.getBoundingClientRect();
        return element.offsetParent && (width < 47.9 || height < 47.9);
    }).map((element) => element.id || element.textContent)"""
    assert screen.page.evaluate(small) == []
    width, height = SIZES[size]
    assert screen.page.evaluate("document.documentElement.scrollWidth") <= width
    if size != "phone":
        assert screen.page.evaluate("document.documentElement.scrollHeight") <= height
        letters = screen.page.evaluate("parseFloat(getComputedStyle(document.getElementById('word')).fontSize)")
        assert letters > height / 6
    screen.page.close()


def test_everything_comes_from_here_and_the_browser_has_nothing_to_complain_of(
    bench: PageBench, screen: Screen
) -> None:
    bench.inspect(1, Outcome.FAIL, jpeg=picture(40), png=mask(0, 0, 8, 8), part_id="p")
    screen.wait("() => document.querySelectorAll('#rejects .thumb img').length === 1")
    assert all(url.startswith((f"{bench.url}/", "blob:")) for url in screen.requests)
    assert screen.complaints == []


STATE = {"stale_after_ms": 10_000, "health": [], "alerts": [], "paused": False, "ended": False}


def lights(**states: str) -> dict[str, Any]:
    return {"health": [{"key": key, "state": state} for key, state in states.items()]}


@pytest.mark.parametrize(
    ("state", "facts", "words"),
    [
        ({}, {}, ""),
        (None, {"shownAgeMs": None, "newestAgeMs": None}, ""),
        ({}, {"shownAgeMs": 12_400, "newestAgeMs": 12_400}, "no new part for 12 s"),
        ({}, {"shownAgeMs": 12_400, "newestAgeMs": 300, "behind": True}, "picture is 12 s behind the line"),
        ({}, {"connection": "connection lost"}, "connection lost · picture from 1 s ago"),
        ({}, {"connection": "connecting", "shownAgeMs": None}, "connecting"),
        (lights(camera="silent"), {}, "camera silent · no new part for 1 s"),
        (lights(inspector="stopping"), {}, "inspector stopped · no new part for 1 s"),
        ({"alerts": [{"kind": "camera_silent"}]}, {}, "camera silent · no new part for 1 s"),
        ({"paused": True}, {}, "camera paused · no new part for 1 s"),
        ({"ended": True}, {}, ""),
        (
            {"ended": True},
            {"shownAgeMs": 7_300_000, "newestAgeMs": 7_300_000},
            "end of the camera's source · no new part for 2 h",
        ),
        (lights(camera="absent"), {"shownAgeMs": 180_000}, "no camera heard · no new part for 1 s"),
    ],
)
def test_the_words_over_a_picture_that_is_not_live(
    screen: Screen, state: dict[str, Any] | None, facts: dict[str, Any], words: str
) -> None:
    given = {"connection": "", "shownAgeMs": 1_000, "newestAgeMs": 1_000, "behind": False} | facts
    given["state"] = None if state is None else STATE | state
    found = screen.page.evaluate("async (given) => (await import('/static/stale.js')).staleWords(given)", given)
    assert found == words


def test_ages_allow_for_the_way_of_a_message(screen: Screen) -> None:
    """A message that was under way for 5 s longer than the quickest tells of something 5 s older."""
    script = """async () => {
        const { Ages } = await import('/static/clock.js');
        let now = 1000;
        const ages = new Ages(() => now);
        const found = [ages.beginOf(50000, 100)];  // the quickest so far
        now = 8000;
        found.push(ages.beginOf(52000, 100));      // 2 s later by the server's clock, 7 s later by ours
        ages.reset();
        found.push(ages.beginOf(3, 100));          // another server
        return found;
    }"""
    assert screen.page.evaluate(script) == [900, 2900, 7900]

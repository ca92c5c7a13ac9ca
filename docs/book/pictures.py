#!/usr/bin/env python3
"""Draws the pictures of the book.

`pictures.py` writes them beside it, into `pictures/`; `pictures.py --check` fails if what is there differs. Nothing but Python's own library.
"""

import sys
from html import escape
from pathlib import Path

THERE = Path(__file__).parent / "pictures"
INK, PAPER, GREEN, BLUE, SAND, RED = "#30343a", "#fdfdfb", "#cfe8c4", "#d3e2f4", "#f3e7c8", "#f2cfc7"


class Picture:
    """Boxes, arrows and words on a light ground, which is legible on dark pages too."""

    def __init__(self, width, height, title):
        self.size, self.title, self.parts = (width, height), title, []

    def box(self, x, y, w, h, words="", fill=PAPER, dashed=False, align="middle"):
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self.parts.append(
            f'<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="5" fill="{fill}" stroke="{INK}"{dash}/>'
        )
        lines = words.split("\n") if words else []
        for i, line in enumerate(lines):
            middle = y + h / 2 + 4.5 + 17 * (i - (len(lines) - 1) / 2)
            self.text(x + w / 2 if align == "middle" else x + 10, middle, line, align)

    def text(self, x, y, words, align="middle", small=False):
        size = 12 if small else 14
        self.parts.append(f'<text x="{x:g}" y="{y:g}" font-size="{size}" text-anchor="{align}">{escape(words)}</text>')

    def arrow(self, *points, words="", at=None, align="start", dashed=False):
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        path = " ".join(f"{x},{y}" for x, y in points)
        self.parts.append(f'<polyline points="{path}" fill="none" stroke="{INK}"{dash} marker-end="url(#head)"/>')
        if words:
            self.text(*at, words, align, small=True)

    def line(self, x1, y1, x2, y2):
        self.parts.append(f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="{INK}" stroke-dasharray="2 4"/>')

    def svg(self):
        width, height = self.size
        head = (
            '<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
            f'<path d="M0 0 8 4 0 8z" fill="{INK}"/></marker>'
        )
        lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
            f'font-family="sans-serif" fill="{INK}" role="img">',
            f"<title>{escape(self.title)}</title>",
            f"<defs>{head}</defs>",
            f'<rect width="{width}" height="{height}" rx="8" fill="{PAPER}"/>',
            *self.parts,
            "</svg>",
        ]
        return "\n".join(lines) + "\n"


def workers():
    p = Picture(720, 372, "Many green threads on few workers")
    p.box(190, 14, 340, 40, "injector: from outside", SAND)
    for i, x in enumerate((30, 380)):
        p.box(x, 80, 310, 196, fill=BLUE)
        p.text(x + 155, 100, f"worker {i}: an OS thread")
        p.box(x + 15, 112, 130, 34, "runs now", GREEN)
        p.box(x + 160, 112, 135, 34, "run-next slot")
        p.box(x + 15, 156, 280, 30, "spawned: not started yet")
        p.box(x + 15, 194, 280, 30, "woken, at home here")
        p.box(x + 15, 232, 280, 30, "inbox: woken by others", SAND)
    p.arrow((300, 54), (240, 80))
    p.arrow((420, 54), (480, 80))
    p.arrow((325, 166), (395, 166))
    p.arrow((395, 178), (325, 178))
    p.text(360, 158, "steal", small=True)
    p.box(30, 302, 310, 54, "parked green threads:\non stacks of their own, in no queue", GREEN)
    p.box(380, 302, 310, 54, "poller thread:\nsockets and timers, if all are busy", BLUE)
    p.arrow((185, 302), (185, 276), words="woken", at=(192, 294))
    p.arrow((535, 302), (535, 276), words="wakes", at=(542, 294))
    return p


def life():
    p = Picture(720, 250, "The life of a green thread")
    p.box(20, 90, 130, 54, "spawned:\none allocation", SAND)
    p.box(205, 90, 130, 54, "runnable:\nin a queue", BLUE)
    p.box(390, 90, 130, 54, "running:\non a worker", GREEN)
    p.box(575, 90, 125, 54, "ended:\nresult is kept", SAND)
    p.box(295, 186, 135, 48, "parked:\nin no queue", PAPER)
    p.arrow((150, 117), (205, 117))
    p.arrow((335, 105), (390, 105), words="start, resume", at=(362, 84), align="middle")
    p.arrow((390, 130), (335, 130), words="yield", at=(362, 147), align="middle")
    p.arrow((520, 117), (575, 117), words="return", at=(547, 109), align="middle")
    p.arrow((455, 144), (455, 210), (430, 210), words="has to wait", at=(464, 190))
    p.arrow((295, 210), (270, 210), (270, 144), words="woken", at=(262, 190), align="end")
    p.arrow((85, 90), (85, 40), (637, 40), (637, 90), dashed=True)
    p.text(360, 30, "cancelled before it starts: it never does", small=True)
    p.text(455, 62, "takes its stack when it first runs", small=True)
    return p


def wait():
    p = Picture(720, 330, "A read that has to wait")
    columns = (("green thread A", 100), ("its worker", 290), ("green thread B", 460), ("kernel", 630))
    for name, x in columns:
        p.text(x, 26, name)
        p.line(x, 36, x, 318)
    p.box(88, 40, 24, 62, fill=GREEN)
    p.arrow((112, 58), (618, 58), words="read: nothing there yet", at=(365, 52), align="middle")
    p.arrow((112, 96), (278, 96), words="parks, leaving a waker", at=(124, 90))
    p.box(278, 96, 24, 34, fill=BLUE)
    p.arrow((302, 124), (448, 124), words="resumes the next", at=(312, 118))
    p.box(448, 118, 24, 86, fill=GREEN)
    p.text(480, 164, "computes, then waits", "start", small=True)
    p.arrow((448, 198), (302, 198), words="parks", at=(360, 192))
    p.box(278, 192, 24, 76, fill=BLUE)
    p.arrow((302, 232), (618, 232), words="has anything come?", at=(350, 226))
    p.arrow((618, 250), (302, 250), words="A's socket is ready: its wait is claimed, once", at=(312, 264))
    p.arrow((278, 268), (112, 268), words="resumes A", at=(150, 262))
    p.box(88, 268, 24, 46, fill=GREEN)
    p.arrow((112, 292), (618, 292), words="read: the data", at=(365, 286), align="middle")
    return p


def order():
    p = Picture(720, 318, "Where a worker takes its work from")
    steps = (
        ("the run-next slot: what this one has just spawned or woken", "at most 16 times in a row", GREEN),
        ("woken, oldest first, and spawned, newest first, in turn", "each 61st time the oldest", GREEN),
        ("the injector", "a share of it", BLUE),
        ("timers and sockets, without blocking", "one look", BLUE),
        ("the other workers: up to 32 at once, the oldest first", "half of the workers search, at most", SAND),
        ("sleep: one worker in epoll, the others in futexes", "no CPU time is used", PAPER),
    )
    for i, (words, note, fill) in enumerate(steps):
        y = 14 + 50 * i
        p.box(20, y, 450, 38, words, fill, align="start")
        p.text(490, y + 24, note, "start", small=True)
        if i:
            p.arrow((245, y - 12), (245, y))
    return p


def stack():
    p = Picture(720, 176, "One stack")
    p.box(20, 60, 120, 50, "guard\n68 KiB", RED)
    p.box(140, 60, 360, 50, "reserved, never touched: no memory", PAPER, dashed=True)
    p.box(500, 60, 200, 50, "touched pages: frames", GREEN)
    p.text(360, 40, "256 KiB of address space")
    p.arrow((265, 36), (142, 36))
    p.arrow((455, 36), (698, 36))
    p.arrow((640, 128), (510, 128), words="frames grow this way", at=(576, 146), align="middle")
    p.arrow((80, 144), (80, 112))
    p.text(20, 160, "an overflow ends here, and is reported", "start", small=True)
    return p


def moving():
    p = Picture(720, 262, "Anchored and roaming")
    for x, title, words in ((20, "anchored: the default, safe", "stays"), (380, "roaming: one unsafe line", "may move")):
        p.text(x + 160, 28, title)
        p.box(x, 44, 150, 150, "", BLUE)
        p.box(x + 170, 44, 150, 150, "", BLUE)
        p.text(x + 75, 64, "worker 0")
        p.text(x + 245, 64, "worker 1")
        p.box(x + 14, 78, 122, 40, "not started", SAND)
        p.box(x + 14, 140, 122, 40, "started", GREEN)
        p.box(x + 184, 78, 122, 40, "", PAPER, dashed=True)
        p.arrow((x + 136, 98), (x + 184, 98))
        if words == "may move":
            p.box(x + 184, 140, 122, 40, "", PAPER, dashed=True)
            p.arrow((x + 136, 160), (x + 184, 160))
    p.text(180, 220, "thread-locals, and references into them,", small=True)
    p.text(180, 238, "mean the same before and after a wait", small=True)
    p.text(540, 220, "after a wait it may be on another OS thread,", small=True)
    p.text(540, 238, "with that one's thread-locals", small=True)
    return p


def deadline():
    p = Picture(720, 236, "A deadline unwinds to the call that set it")
    frames = ("main", "time::timeout", "fetch", "read_line", "read: waits")
    for i, words in enumerate(frames):
        fill = BLUE if i < 2 else (RED if i < 4 else SAND)
        p.box(30 + 130 * i, 60, 118, 44, words, fill)
        if i:
            p.arrow((18 + 130 * i, 82), (30 + 130 * i, 82))
    p.text(609, 46, "time is up", small=True)
    p.arrow((609, 104), (609, 140), (219, 140), (219, 104))
    p.text(414, 132, "unwinds, destructors run, no hook prints", small=True)
    p.text(172, 172, "catches: returns Err(Elapsed)", "start", small=True)
    p.box(30, 184, 118, 36, "goes on", BLUE)
    p.arrow((160, 104), (160, 202), (148, 202))
    return p


def main():
    pictures = {f.__name__: f().svg() for f in (workers, life, wait, order, stack, moving, deadline)}
    if sys.argv[1:] != ["--check"]:
        THERE.mkdir(exist_ok=True)
        for name, svg in pictures.items():
            (THERE / f"{name}.svg").write_text(svg, encoding="utf-8")
        return
    committed = {path.stem: path.read_text(encoding="utf-8") for path in THERE.glob("*.svg")}
    differing = sorted(name for name in pictures | committed if pictures.get(name) != committed.get(name))
    if differing:
        sys.exit(f"differ from what pictures.py draws: {', '.join(differing)}")


main()

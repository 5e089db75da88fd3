"""From a reader's move to the redrawn picture, in Chromium: every control of every widget of every chapter.

How the redraw is noticed: a MutationObserver sees what a widget changes in itself, and asks for the next animation
frame; a message posted in that frame arrives when the frame has been painted. The change is made in an animation frame,
since that is where Chromium delivers a moving pointer. The last such painting counts that comes before the kernel has
done all that the move asked of it. It is the kernel's if it follows an answer of the kernel's, else the page's own.
Less motion is asked for, so that a story which a move tells from its beginning to its end is drawn at its end. Where a
control has fewer positions than it is moved times, it comes back to some, and the what-ifs remember those.

    python -m bench sliders           all chapters
    python -m bench.sliders 11 15     some of them
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.row import Row, table
from tests.browser.jupyter import ROOT, Reader, browse, serve

CHAPTERS = sorted(path.stem for path in (ROOT / "chapters").glob("[0-9]*.ipynb"))
CHANGES = 15
#: Milliseconds up to the painting: by whom the picture is computed.
TARGETS = {"kernel": 60, "page": 16}

#: Finds the controls, and gives each a function that makes its next change.
CONTROLS = """() => {
  const named = (widget) => widget.querySelector('h4')?.textContent || widget.getAttribute('aria-label') || '';
  const words = (label) => [...label.childNodes].filter((node) => node.tagName !== 'SELECT')
    .map((node) => node.textContent).join('');
  const label = (control) => control.getAttribute('aria-label') || words(control.closest('label') ?? control);
  window.xlControls = [];
  document.querySelectorAll('.xl:not(.xl-quiz):not(.xl .xl)').forEach((widget, number) => {
    for (const live of widget.querySelectorAll('.live input:checked')) live.click(); // it looks at the host by itself
    const kind = [...widget.classList].find((name) => name.startsWith('xl-')) || 'xl';
    const found = [...widget.querySelectorAll('input[type=range], select, input[type=checkbox]')];
    const tabs = [...widget.querySelectorAll('[role=tab]')];
    if (tabs.length) found.push(tabs);
    for (const control of found) {
      const many = Array.isArray(control), one = many ? control[0] : control;
      if (one.disabled || one.closest('.live')) continue;
      window.xlControls.push({ widget, control, many,
        name: `${kind}${number + 1}`, title: named(widget), label: many ? 'tabs' : label(one).trim() });
    }
  });
  return window.xlControls.map(({ name, title, label }) => ({ name, title, label }));
}"""

#: Changes one control for the `turn`-th time; how many milliseconds later the last redraw was painted, and by whom.
CHANGE = """async ([which, turn]) => {
  const { widget, control, many } = window.xlControls[which];
  const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
  const now = () => performance.now(), painted = (then) => requestAnimationFrame(() => {
    const channel = new MessageChannel();
    channel.port1.onmessage = then;
    channel.port2.postMessage(0);
  });
  const sent = new Set(), answers = [], redraws = [];
  let idle = 0, open = 0;
  const listen = (_, { direction, msg }) => {
    const { msg_type, msg_id } = msg.header;
    if (direction === 'send' && msg_type === 'comm_msg') sent.add(msg_id);
    if (direction !== 'recv' || !sent.has(msg.parent_header?.msg_id)) return;
    if (msg_type === 'comm_msg' && msg.content.data.method === 'update') answers.push(now());
    if (msg_type === 'status' && msg.content.execution_state === 'idle') idle += 1;
  };
  const watch = new MutationObserver(() => {
    const at = now();
    open += 1;
    painted(() => { redraws.push({ at, painted: now() }); open -= 1; });
  });
  function move() {
    if (many) return control[(1 + turn) % control.length].click();
    if (control.type === 'checkbox') return control.click();
    if (control.tagName === 'SELECT') control.selectedIndex = (control.selectedIndex + 1) % control.options.length;
    else {
      const step = Number(control.step) || 1, steps = Math.round((control.max - control.min) / step);
      const place = Math.round((control.value - control.min) / step);
      const next = (place + Math.max(1, Math.round(steps * 0.37))) % (steps + 1);
      control.value = Number(control.min) + step * next;
    }
    control.dispatchEvent(new Event('input', { bubbles: true }));
    control.dispatchEvent(new Event('change', { bubbles: true }));
  }
  if (turn === 0) {
    (many ? control[0] : control).scrollIntoView({ block: 'center' });
    await new Promise((then) => setTimeout(then, 200));
  }
  kernel.anyMessage.connect(listen);
  const begin = await new Promise((then) => requestAnimationFrame(() => {
    watch.observe(widget, { subtree: true, childList: true, attributes: true, characterData: true });
    const at = now();
    move();
    open += 1;
    const channel = new MessageChannel();
    channel.port1.onmessage = () => {
      open -= 1;
      if (watched.length) redraws.push({ at, painted: now() });
      then(at);
    };
    const watched = watch.takeRecords(); // what the page has redrawn already is painted in this very frame
    channel.port2.postMessage(0);
  }));
  let quiet = 0;
  while (quiet < 2 && now() - begin < 20000) {
    await new Promise((then) => setTimeout(then, 40));
    quiet = idle >= sent.size && !open ? quiet + 1 : 0;
  }
  watch.disconnect();
  kernel.anyMessage.disconnect(listen);
  if (!redraws.length) return null;
  const last = redraws.at(-1);
  return [last.painted - begin, answers.some((at) => at < last.at) ? 'kernel' : 'page'];
}"""


def measure(reader: Reader, chapter: str) -> Iterator[Row]:
    """Run a chapter, move its controls, and give a row for each that redraws something."""
    reader.open(f"chapters/{chapter}.ipynb")
    reader.run_all()
    reader.page.wait_for_timeout(500)
    controls: list[dict[str, Any]] = reader.page.evaluate(CONTROLS)
    for which, control in enumerate(controls):
        reader.page.evaluate(CHANGE, [which, 0])  # the first one compiles the page's script
        changes = [reader.page.evaluate(CHANGE, [which, 1 + turn]) for turn in range(CHANGES)]
        redrawn = [change for change in changes if change]
        if not redrawn:
            print(f"{chapter} {control['name']} {control['label']!r} redraws nothing by itself", flush=True)
            continue
        by = max(("kernel", "page"), key=[change[1] for change in redrawn].count)
        figures = tuple(change[0] for change in redrawn if change[1] == by)
        title = ": ".join(
            re.sub(r"[\s|]+", " ", control[part]) for part in ("title", "label") if control[part]
        )
        yield Row(f"{chapter} {control['name']}, {title}, by the {by}", figures, "ms", TARGETS[by])


def rows(chapters: list[str] | None = None) -> list[Row]:
    """A row for each control of these chapters, or of all."""
    found: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        home, profile = Path(folder, "lab"), Path(folder, "chromium")
        home.mkdir()
        with serve(home) as lab, browse(profile) as context:
            for chapter in chapters or CHAPTERS:
                page = context.new_page()
                page.emulate_media(reduced_motion="reduce")
                found += measure(Reader(page, lab), chapter)
                page.close()
    return found


if __name__ == "__main__":
    print(table(rows([name for name in CHAPTERS if name.startswith(tuple(sys.argv[1:]))])))

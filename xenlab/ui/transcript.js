/** Return an empty transcript window: it scrolls by itself, takes the keyboard's focus and names itself. */
function transcriptBox() {
  return h("div", { class: "xl-transcript", tabindex: 0, role: "log", "aria-label": "Commands run in dom0" },
    h("div", { class: "rows" }));
}

/** Fill a transcript window with rows, newest last; theme.css keeps the newest in view until one scrolls up. */
function fillTranscript(box, rows) {
  const list = box.firstElementChild;
  list.replaceChildren(...rows.map((row) => {
    const asides = [];
    if (row.times > 1) asides.push(h("span", { class: "aside" }, `${row.times} times`));
    if (row.note) asides.push(h("span", { class: "aside" }, row.note));
    if (row.status !== 0) asides.push(h("span", { class: "aside exit" }, `exit status ${row.status}`));
    const block = h("div", { class: row.status === 0 ? "row" : "row failed" },
      h("div", { class: "command" }, row.command, ...asides));
    if (row.stdout.trim()) block.append(h("pre", {}, row.stdout.trimEnd()));
    if (row.stderr.trim()) block.append(h("pre", { class: "stderr" }, row.stderr.trimEnd()));
    return block;
  }));
  if (!rows.length) list.append(h("span", { class: "none" }, "No command has been run yet."));
}

const POLL = 3000; // milliseconds between two looks at a host that is in view

/** A real or simulated host's frames as squares, and under them a row for each domain with a slider for its target. */
function render({ model, el }) {
  let waiting = "", inView = true;
  function press(button, fields = {}) {
    if (waiting && waiting !== "refresh") return;
    waiting = button;
    model.send({ button, ...fields });
    showStatus();
  }

  const live = h("input", { type: "checkbox", checked: true });
  const simulated = model.get("simulated");
  const free = h("span", { class: "number" });
  const machine = h("div", { class: "machine", role: "img" });
  const table = h("div", { class: "domains" });
  const status = h("div", { class: "status", role: "status" });
  const log = transcriptBox();
  const root = h("div", { class: "xl xl-board" },
    h("div", { class: "head" },
      h("h3", {}, "The machine's memory"), h("span", { class: "badge" }, `${model.get("where")} · ${simulated ? "simulated" : "real Xen"}`),
      free, h("span", { class: "gap" }),
      simulated && h("button", { onclick: () => press("wait", { seconds: 10 }) }, "Let 10 s pass"),
      h("label", { class: "live" }, live, "Live"),
      h("button", { onclick: () => press("refresh") }, "Refresh")),
    machine, table, status,
    h("details", {}, h("summary", {}, "What was run in dom0"), log));
  el.append(root);

  const kind = (letter) => {
    if (letter === ".") return "none";
    const place = model.get("domains").findIndex((domain) => domain.letter === letter);
    return place === 0 ? "dom0" : `guest${(place - 1) % 5}`;
  };
  function showMachine() {
    const squares = model.get("squares");
    if (machine.childElementCount !== squares.length)
      machine.replaceChildren(...Array.from(squares, () => h("span", { class: "eased" })));
    const kinds = new Map([...new Set(squares)].map((letter) => [letter, `eased ${kind(letter)}`]));
    Array.from(squares).forEach((letter, i) => {
      const square = machine.children[i], name = kinds.get(letter), text = letter === "." ? "" : letter;
      if (square.className !== name) square.className = name;
      if (square.textContent !== text) square.textContent = text;
    });
    machine.setAttribute("aria-label", `${squares.length} MiB by owner; ${model.get("free")} MiB are free`);
    free.textContent = `${model.get("free")} MiB free`;
  }

  const rows = new Map();
  function showDomains() {
    const domains = model.get("domains");
    for (const [name, row] of rows) if (!domains.some((domain) => domain.name === name)) { row.line.remove(); rows.delete(name); }
    for (const domain of domains) {
      if (!rows.has(domain.name)) {
        const row = { has: h("span", { class: "number" }), said: h("output"), swatch: h("span", { class: "swatch" }) };
        row.slider = domain.guest && domain.static_max && h("input", {
          type: "range", min: 0, max: domain.static_max, "aria-label": `Target of ${domain.name}`,
          oninput: () => { row.said.textContent = `target ${row.slider.value}`; row.held = true; },
          onchange: () => { row.held = false; press("mem-set", { name: domain.name, mebibytes: Number(row.slider.value) }); },
        });
        row.line = h("div", { class: "domain" }, row.swatch, h("strong", {}, domain.name), row.has, row.slider || h("span"), row.said);
        rows.set(domain.name, row);
        table.append(row.line);
      }
      const row = rows.get(domain.name);
      row.swatch.className = `swatch ${kind(domain.letter)}`;
      row.swatch.textContent = domain.letter;
      row.has.textContent = `has ${domain.has} MiB`;
      if (row.slider && !row.held) {
        row.slider.max = domain.static_max;
        row.slider.value = domain.target;
        row.said.textContent = `target ${domain.target}`;
      }
    }
  }
  function showStatus() {
    const busy = model.get("busy") || (waiting === "refresh" ? "" : waiting);
    const { failed, text } = model.get("message");
    status.className = `status ${busy ? "busy" : failed ? "failed" : ""}`;
    if (busy) status.replaceChildren(`Working: ${busy} …`);
    else if (failed) status.replaceChildren(icon("wrong"), h("pre", {}, text));
    else status.replaceChildren(...text.split("`").map((part, i) => (i % 2 ? h("code", {}, part) : part)));
  }
  const unfollow = [
    follow(model, ["domains"], showDomains),
    follow(model, ["squares", "domains", "free"], showMachine),
    follow(model, ["busy", "message"], showStatus),
    follow(model, ["rows"], () => fillTranscript(log, model.get("rows"))),
  ];
  function answered({ done }) {
    if (done !== waiting) return;
    waiting = "";
    showStatus();
  }
  model.on("msg:custom", answered);
  const watcher = new IntersectionObserver(([entry]) => { inView = entry.isIntersecting; });
  watcher.observe(root);
  const poll = setInterval(() => {
    if (live.checked && inView && !document.hidden && !waiting && !model.get("busy"))
      press("refresh", simulated ? { seconds: POLL / 1000 } : {});
  }, POLL);
  return () => {
    clearInterval(poll);
    watcher.disconnect();
    model.off("msg:custom", answered);
    unfollow.forEach((stop) => stop());
  };
}

export default { render };

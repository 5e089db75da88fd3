function render({ model, el }) {
  const rows = model.get("rows"), steps = model.get("steps");
  const lines = rows.map((row) => h("tr", {},
    h("td", { class: "soft" }, `0x${row.address.toString(16).padStart(3, "0")}`), h("td", { class: "label" }, row.label),
    h("td", {}, h("code", {}, row.text))));
  const listing = h("div", { class: "listing", tabindex: 0, role: "group", "aria-label": "The program" },
    h("table", {}, h("tbody", {}, ...lines)));
  const code = h("pre", { class: "source", tabindex: 0 }), cache = h("div", { class: "cache" });
  const bar = (name) => {
    const fill = h("div", { class: "fill eased" }), value = h("span", { class: "value" });
    return [h("div", { class: "bar" }, h("span", { class: "name" }, name), h("div", { class: "track" }, fill), value), fill, value];
  };
  const [ours, oursFill, oursValue] = bar("the translator"), [theirs, theirsFill, theirsValue] = bar("an interpreter");
  const root = h("div", { class: "xl xl-translating", tabindex: 0, "aria-label": "A translator at work" },
    h("div", { class: "halves" },
      h("div", {}, h("h3", {}, "The guest's code"), listing),
      h("div", {}, h("h3", {}, "What it became"), code)),
    h("h3", {}, "The cache"), cache,
    h("h3", {}, "Instructions decoded so far"), ours, theirs);
  el.append(root);
  const most = Math.max(1, ...steps.map((step) => Math.max(step.executed, step.decoded)));
  return player(model, root, (moment) => {
    const step = steps[moment - 1];
    lines.forEach((line, i) => line.classList.toggle("now", Boolean(step) && step.addresses.includes(rows[i].address)));
    const now = lines.find((line) => line.classList.contains("now"));
    if (now) listing.scrollTop = now.offsetTop - listing.clientHeight / 2;
    code.textContent = step ? step.source || "(interpreted, not translated)" : " ";
    cache.replaceChildren(...(step && step.cache.length ? step.cache : []).map(([start, length, ran, current]) =>
      h("span", { class: current ? "entry current" : "entry" }, h("code", {}, start),
        ` ${length} instructions, run ${ran} ${ran === 1 ? "time" : "times"}`)));
    if (!cache.childElementCount) cache.append(h("span", { class: "soft" }, "empty"));
    const [decoded, executed] = step ? [step.decoded, step.executed] : [0, 0];
    oursFill.style.width = `${(100 * decoded) / most}%`;
    theirsFill.style.width = `${(100 * executed) / most}%`;
    oursValue.textContent = decoded;
    theirsValue.textContent = executed;
  });
}

export default { render };

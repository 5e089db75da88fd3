const W = 900, LEFT = 190, RIGHT = 20, LANE = 34, TOP = 26;

function render({ model, el }) {
  const all = model.get("milestones"), lines = model.get("lines");
  const first = 1960, last = 2026, height = TOP + lines.length * LANE + 22;
  const x = (year) => LEFT + ((year - first) / (last - first)) * (W - LEFT - RIGHT);
  const svgns = "http://www.w3.org/2000/svg";
  const s = (tag, attributes, ...children) => {
    const node = document.createElementNS(svgns, tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  };

  const axis = s("g", { class: "axis" });
  for (let year = 1960; year <= 2020; year += 10)
    axis.append(
      s("line", { x1: x(year), x2: x(year), y1: TOP - 8, y2: height - 20 }),
      s("text", { x: x(year), y: height - 5, "text-anchor": "middle" }, String(year)));
  lines.forEach((line, i) =>
    axis.append(s("text", { x: LEFT - 12, y: TOP + i * LANE + 4, "text-anchor": "end", class: "lane" }, line)));
  const dots = all.map((one, i) => {
    const dot = s("circle", { cx: x(one.year), cy: TOP + lines.indexOf(one.line) * LANE, r: 7, class: "dot eased" });
    dot.append(s("title", {}, `${one.when}: ${one.title}`));
    dot.addEventListener("click", () => choose(i));
    return dot;
  });
  const picture = s("svg", { viewBox: `0 0 ${W} ${height}`, "aria-hidden": "true" }, axis, ...dots);

  const chips = lines.map((line) => {
    const box = h("input", { type: "checkbox", onchange: () => {
      const on = new Set(model.get("shown"));
      if (box.checked) on.add(line); else on.delete(line);
      model.set("shown", lines.filter((each) => on.has(each)));
      model.save_changes();
    } });
    return [box, h("label", { class: "chip" }, box, line)];
  });
  const detail = h("div", { class: "detail", "aria-live": "polite" });
  const count = h("span", { class: "count soft" });
  const step = (name, label, by) => h("button", { title: label, "aria-label": label, onclick: () => move(by) }, icon(name));
  const root = h("div", { class: "xl xl-timeline", tabindex: 0, "aria-label": "Milestones of virtualization" },
    h("div", { class: "chips" }, ...chips.map(([, label]) => label)), h("div", { class: "years" }, picture),
    h("div", { class: "steps" }, step("back", "Earlier", -1), step("forward", "Later", 1), count), detail);
  el.append(root);

  const visible = () => all.map((_, i) => i).filter((i) => model.get("shown").includes(all[i].line));
  function choose(i) { model.set("chosen", i); model.save_changes(); }
  function move(by) {
    const there = visible(), at = there.indexOf(model.get("chosen"));
    if (there.length) choose(there[Math.min(Math.max(at + by, 0), there.length - 1)]);
  }
  root.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (by === undefined || event.target.tagName === "INPUT") return;
    move(by);
    event.preventDefault();
    event.stopPropagation();
  });
  return follow(model, ["chosen", "shown"], () => {
    const shown = model.get("shown"), i = model.get("chosen"), one = all[i], there = visible();
    chips.forEach(([box], k) => { box.checked = shown.includes(lines[k]); });
    dots.forEach((dot, k) => {
      dot.classList.toggle("chosen", k === i);
      dot.classList.toggle("off", !shown.includes(all[k].line));
    });
    count.textContent = there.includes(i) ? `${there.indexOf(i) + 1} of ${there.length}` : `${there.length} shown`;
    detail.replaceChildren(
      h("div", { class: "words" },
        h("h3", {}, `${one.when}: ${one.title}`),
        h("p", {}, one.why),
        h("p", { class: "soft" }, "Source: ", h("a", { href: one.link, target: "_blank", rel: "noopener" }, one.source))),
      h("div", { html: one.picture }));
  });
}

export default { render };

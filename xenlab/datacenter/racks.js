const SVG = "http://www.w3.org/2000/svg";
const WORDS = { "-1": "off", "-2": "boots", "-3": "failed" };
const ARCS = 16; // more would hide the racks

/** Racks of hosts, each with a bar as long as it is busy; what moves is an arc from host to host. */
function render({ model, el }) {
  const node = (tag, attributes, text) => {
    const made = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    if (text) made.textContent = text;
    return made;
  };
  const [width, height] = model.get("size"), [wide, high] = model.get("slot");
  const picture = node("svg", {
    viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true", style: `max-width: ${Math.round(1.7 * width)}px`,
  });
  for (const [x, y, w, h_, name] of model.get("racks"))
    picture.append(node("rect", { x, y, width: w, height: h_, rx: 4, class: "rack" }),
      node("text", { x: x + w / 2, y: y - 5, "text-anchor": "middle", class: "name" }, name));
  const slots = model.get("slots");
  const hosts = slots.map(([x, y], i) => {
    const slot = node("rect", { x, y, width: wide, height: high, rx: 2, class: "slot" });
    const bar = node("rect", { x, y, width: 0, height: high, rx: 2, class: "bar" });
    const word = node("text", { x: x + wide - 4, y: y + high - 4.5, "text-anchor": "end", class: "word" });
    slot.append(node("title", {}, model.get("hosts")[i]));
    picture.append(slot, bar);
    return { slot, bar, word };
  });
  const arcs = Array.from({ length: ARCS }, () => {
    const arc = node("path", { class: "arc", "marker-end": "url(#xl-arrow)" });
    picture.append(arc);
    return arc;
  });
  picture.append(...hosts.map(({ word }) => word)); // above the arcs
  const marker = node("marker", { id: "xl-arrow", viewBox: "0 0 6 6", refX: 5, refY: 3, markerWidth: 5, markerHeight: 5, orient: "auto" });
  marker.append(node("path", { d: "M0 0L6 3L0 6z", class: "tip" }));
  picture.prepend(marker);
  const root = h("div", { class: "xl xl-racks", tabindex: 0, "aria-label": model.get("title") },
    h("h3", {}, model.get("title")), h("div", { class: "floor" }, picture),
    h("p", { class: "legend" },
      ...[["bar", "busy"], ["bar hot", "asked for more than it has"], ["off", "off"], ["failed", "failed"]].map(([kind, name]) =>
        h("span", {}, h("span", { class: `key ${kind}` }), name)),
      h("span", {}, h("span", { class: "key line" }), "on the move")));
  el.append(root);

  const middle = (i) => [slots[i][0] + wide / 2, slots[i][1] + high / 2];
  return player(model, root, (moment) => {
    const loads = model.get("loads")[moment], moves = model.get("moves")[moment];
    hosts.forEach(({ slot, bar, word }, i) => {
      const load = loads[i];
      slot.setAttribute("class", load < 0 ? `slot ${WORDS[load]}` : "slot");
      bar.setAttribute("class", load > 100 ? "bar hot" : "bar");
      bar.setAttribute("width", (wide * Math.min(Math.max(load, 0), 100)) / 100);
      word.setAttribute("class", load < 0 ? `word ${WORDS[load]}` : load > 100 ? "word hot" : "word");
      word.textContent = load < 0 ? WORDS[load] : `${load > 100 ? "! " : ""}${load} %`;
    });
    arcs.forEach((arc, i) => {
      if (i >= moves.length) { arc.setAttribute("d", ""); return; }
      const [[x1, y1], [x2, y2]] = moves[i].map(middle);
      const bend = x1 === x2 ? [x1 + wide * 0.7, (y1 + y2) / 2] : [(x1 + x2) / 2, Math.min(y1, y2) - 24];
      arc.setAttribute("d", `M${x1} ${y1}Q${bend[0]} ${bend[1]} ${x2} ${y2}`);
    });
  });
}

export default { render };

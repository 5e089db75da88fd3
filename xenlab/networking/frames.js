const SVG = "http://www.w3.org/2000/svg";
function shape(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function render({ model, el }) {
  const machines = model.get("machines"), cables = model.get("cables"), frames = model.get("frames");
  const width = 560, box = 118, tall = 50;
  const middle = ([x, y]) => [x + box / 2, y + tall / 2];
  const svg = shape("svg", { viewBox: `0 0 ${width} ${model.get("height")}`, role: "group", "aria-label": "The network" });
  const lines = {};
  for (const cable of cables) {
    const [[ax, ay], [bx, by]] = cable.ends.map(middle);
    lines[cable.name] = shape("line", { x1: ax, y1: ay, x2: bx, y2: by, class: "cable" });
    svg.append(lines[cable.name], shape("text", { x: (ax + bx) / 2, y: (ay + by) / 2 - 7, class: "label" }, cable.name));
  }
  const opened = h("div", { class: "opened", "aria-live": "polite" });
  const boxes = {};
  for (const machine of machines) {
    const [x, y] = machine.place;
    const group = shape("g", { tabindex: 0, role: "button", "aria-label": `Tables of ${machine.name}`, class: "machine" },
      shape("rect", { x, y, width: box, height: tall, rx: 6 }),
      shape("text", { x: x + box / 2, y: y + 18, class: "name" }, machine.name),
      ...machine.lines.map((line, i) => shape("text", { x: x + box / 2, y: y + 32 + 12 * i, class: "address" }, line)));
    const open = () => opened.replaceChildren(h("h3", {}, `${machine.name}: its tables in the end`),
      ...machine.tables.map((table) => h("div", {}, h("p", { class: "soft" }, table.title), h("pre", {}, table.text))));
    group.addEventListener("click", open);
    group.addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      open();
      event.preventDefault();
      event.stopPropagation();
    });
    boxes[machine.name] = group;
    svg.append(group);
  }
  const dot = shape("g", { class: "frame" }, shape("rect", { x: -24, y: -10, width: 48, height: 20, rx: 4 }),
    shape("text", { x: 0, y: 4 }, ""));
  svg.append(dot);
  const root = h("div", { class: "xl xl-frames", tabindex: 0, "aria-label": "Frames on a network" },
    h("div", { class: "halves" }, svg, opened));
  el.append(root);
  return player(model, root, (moment) => {
    const frame = frames[moment - 1];
    Object.values(lines).forEach((line) => line.classList.toggle("lit", Boolean(frame) && line === lines[frame.link]));
    dot.style.display = frame ? "" : "none";
    if (!frame) { opened.replaceChildren(h("p", { class: "soft" }, "A frame is opened here, layer by layer.")); return; }
    const [ax, ay] = middle(frame.from), [bx, by] = middle(frame.to);
    dot.querySelector("text").textContent = frame.kind;
    dot.style.transition = "none";
    dot.setAttribute("transform", `translate(${ax + (bx - ax) * 0.3} ${ay + (by - ay) * 0.3})`);
    dot.getBoundingClientRect(); // so that the way is walked, not jumped
    dot.style.transition = "";
    dot.setAttribute("transform", `translate(${ax + (bx - ax) * 0.66} ${ay + (by - ay) * 0.66})`);
    const last = frame.layers.findLast((layer) => layer.fields.length);
    opened.replaceChildren(...frame.layers.map((layer, i) => h("details", { open: i === 1 || layer === last },
      h("summary", {}, layer.name),
      h("table", {}, ...layer.fields.map(([name, value]) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, value)))))));
  });
}

export default { render };

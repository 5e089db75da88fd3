// Four boxes, and an arrow for the message of the moment.
const BOXES = {
  "client": { x: 14, y: 92, title: "Ana", sub: "client" },
  "information service": { x: 222, y: 8, title: "Information service", sub: "what servers say" },
  "XenoCorp": { x: 222, y: 176, title: "XenoCorp", sub: "whom both sides trust" },
  "XenoServer": { x: 430, y: 92, title: "XenoServer", sub: "runs anybody's code" },
};
const W = 176, H = 76;

function render({ model, el }) {
  const moments = model.get("moments");
  const holder = h("div", { class: "parties" });
  const root = h("div", { class: "xl xl-session", tabindex: 0, "aria-label": "A session on the XenoServer platform" }, holder);
  el.append(root);
  return player(model, root, (moment) => {
    const { from, to, lines } = moments[moment];
    const boxes = Object.entries(BOXES).map(([name, box]) => {
      const lit = name === from || name === to;
      const texts = [box.sub, ...(lines[name] || []).filter(Boolean)];
      return `<g class="${lit ? "lit" : ""}"><rect x="${box.x}" y="${box.y}" width="${W}" height="${H}" rx="6"/>
        <text class="title" x="${box.x + W / 2}" y="${box.y + 19}">${box.title}</text>
        ${texts.map((text, i) => `<text x="${box.x + W / 2}" y="${box.y + 36 + 15 * i}">${text}</text>`).join("")}</g>`;
    });
    holder.innerHTML = `<svg viewBox="0 0 620 260" role="img" aria-label="Four parties">
      <defs><marker id="xl-tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" orient="auto">
      <path d="M0 0 10 5 0 10z"/></marker></defs>${boxes.join("")}${from ? arrow(from, to) : ""}</svg>`;
  });
}

/** An arrow between the nearest edges of two boxes; a loop where somebody does something alone. */
function arrow(from, to) {
  const a = BOXES[from], b = BOXES[to];
  if (from === to)
    return `<path class="arrow" d="M${a.x + 60} ${a.y} c-10 -34 66 -34 56 -4" marker-end="url(#xl-tip)"/>`;
  const ax = a.x + W / 2, ay = a.y + H / 2, bx = b.x + W / 2, by = b.y + H / 2;
  const cut = (x, y, dx, dy) => { // where the line from a box's middle leaves the box
    const t = Math.min(W / 2 / Math.abs(dx || 1e-9), H / 2 / Math.abs(dy || 1e-9));
    return [x + dx * t, y + dy * t];
  };
  const [x1, y1] = cut(ax, ay, bx - ax, by - ay), [x2, y2] = cut(bx, by, ax - bx, ay - by);
  return `<path class="arrow" d="M${x1} ${y1} L${x2} ${y2}" marker-end="url(#xl-tip)"/>`;
}

export default { render };

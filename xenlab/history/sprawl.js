const SVG = "http://www.w3.org/2000/svg";

function render({ model, el }) {
  const node = (tag, attributes) => {
    const made = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  };
  const [width, height] = model.get("size");
  const picture = node("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
  for (const [x, y, w, h_, name] of model.get("racks")) {
    picture.append(node("rect", { x, y, width: w, height: h_, rx: 4, class: "rack" }));
    const text = node("text", { x: x + w / 2, y: y - 5, "text-anchor": "middle" });
    text.textContent = name;
    picture.append(text);
  }
  const machines = model.get("machines").map(([x, y, w, h_]) => {
    const made = node("rect", { x, y, width: w, height: h_, rx: 2, class: "machine eased" });
    picture.append(made);
    return made;
  });
  const letters = model.get("letters");
  const servers = model.get("colours").map((colour, i) => {
    const made = node("g", { class: "server" }), letter = node("text", { x: 6, y: 9.5, "text-anchor": "middle" });
    letter.textContent = letters[i];
    made.append(node("rect", { width: 12, height: 12, rx: 2, fill: colour }), letter);
    picture.append(made);
    return made;
  });
  const root = h("div", { class: "xl xl-sprawl", tabindex: 0, "aria-label": "Servers move together" }, h("div", {}, picture));
  el.append(root);
  let before = 0;
  return player(model, root, (moment) => {
    picture.classList.toggle("jumps", Math.abs(moment - before) > 1); // who drags the slider wants to be there at once
    before = moment;
    model.get("places")[moment].forEach(([x, y], i) => { servers[i].style.transform = `translate(${x}px, ${y}px)`; });
    model.get("on")[moment].forEach((on, i) => machines[i].classList.toggle("off", !on));
  });
}

export default { render };

/** Paint one moment of a drawing: each named part gets its classes, its word and its place. */
function paint(svg, frame) {
  for (const part of svg.querySelectorAll("[data-part]")) {
    const name = part.dataset.part;
    part.setAttribute("class", `${part.dataset.base} ${frame.classes[name] || ""}`.trim());
    const [x, y] = frame.moves[name] || [0, 0];
    part.style.transform = `translate(${x}px,${y}px)`;
  }
  for (const word of svg.querySelectorAll("[data-word]")) word.textContent = frame.words[word.dataset.word] || "";
}

function render({ model, el }) {
  const picture = h("div", { html: model.get("svg") });
  const root = h("div", { class: "xl xl-story", tabindex: 0, "aria-label": model.get("label") }, picture);
  el.append(root);
  return player(model, root, (moment) => paint(picture.firstElementChild, model.get("frames")[moment]));
}

export default { render };

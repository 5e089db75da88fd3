function render({ model, el }) {
  const picture = h("div", { html: model.get("svg") });
  const root = h("div", { class: "xl xl-story", tabindex: 0, "aria-label": "A domain's life, step by step" }, picture);
  el.append(root);
  return player(model, root, (moment) =>
    light(picture.firstElementChild, model.get("states")[moment], model.get("events")[moment]));
}

export default { render };

function render({ model, el }) {
  const picture = h("div", { class: "stage" });
  const root = h("div", { class: "xl xl-devices", tabindex: 0, "aria-label": model.get("title") },
    h("h3", {}, model.get("title")), picture);
  el.append(root);
  return player(model, root, (moment) => { picture.innerHTML = model.get("frames")[moment]; });
}

export default { render };

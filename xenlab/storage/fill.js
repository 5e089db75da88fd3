/** Sliders whose values Python turns into a drawing: it answers each move with a new picture and a line of text. */
function render({ model, el }) {
  const picture = h("div");
  const told = h("p", { class: "xl-caption", role: "status" });
  const slider = (name, label, max) => {
    const value = h("output", { class: "count" });
    const input = h("input", {
      type: "range", min: name === "written" ? 0 : 1, max, "aria-label": label,
      oninput: () => { model.set(name, Number(input.value)); model.save_changes(); },
    });
    const show = () => { input.value = model.get(name); value.textContent = `${model.get(name)} MiB`; };
    return { show, row: h("label", { class: "xl-controls" }, h("span", { style: "min-width:165px" }, label), input, value) };
  };
  const room = slider("room", "Room for copies", model.get("volume") + 1);
  const written = slider("written", "Written to the volume", 2 * model.get("volume"));
  const pattern = h("select", {
    "aria-label": "Where the writes go",
    onchange: () => { model.set("pattern", pattern.value); model.save_changes(); },
  }, h("option", { value: "random" }, "random"), h("option", { value: "in order" }, "in order"));
  el.append(h("div", { class: "xl xl-gauge" }, picture, told, room.row, written.row,
    h("label", { class: "xl-controls" }, h("span", { style: "min-width:165px" }, "Where the writes go"), pattern)));
  const undo = [
    follow(model, ["svg"], () => { picture.innerHTML = model.get("svg"); }),
    follow(model, ["told"], () => { told.textContent = model.get("told"); }),
    follow(model, ["room"], room.show),
    follow(model, ["written"], written.show),
    follow(model, ["pattern"], () => { pattern.value = model.get("pattern"); }),
  ];
  return () => undo.forEach((stop) => stop());
}

export default { render };

/** Two curves with a dot on each; the slider moves the dots, and a line of text says what they show. */
function render({ model, el }) {
  const runs = model.get("runs");
  const picture = h("div", { html: model.get("svg") });
  const told = h("p", { class: "xl-caption", role: "status" });
  const value = h("output", { class: "count" });
  const slider = h("input", {
    type: "range", min: 0, max: runs.length - 1, "aria-label": "Requests in a group",
    oninput: () => { model.set("chosen", Number(slider.value)); model.save_changes(); },
  });
  el.append(h("div", { class: "xl xl-batches" }, picture, told,
    h("label", { class: "xl-controls" }, h("span", {}, "Requests in a group"), slider, value)));
  const dots = picture.querySelectorAll(".here");
  return follow(model, ["chosen"], () => {
    const chosen = model.get("chosen"), run = runs[chosen];
    slider.value = chosen;
    value.textContent = run.batch;
    slider.setAttribute("aria-valuetext", String(run.batch));
    dots.forEach((dot, i) => {
      const [x, y] = run.dots[i];
      dot.setAttribute("transform", `translate(${x} 0)`);
      dot.querySelector("circle").setAttribute("cy", y);
    });
    told.innerHTML = run.told;
  });
}

export default { render };

const COLUMNS = 12, SIZE = 30, SPACE = 6;

function render({ model, el }) {
  const slider = (trait, label, min, max) => {
    const input = h("input", { type: "range", min, max, step: 5, "aria-label": label });
    const shown = h("output");
    input.addEventListener("input", () => { model.set(trait, Number(input.value)); model.save_changes(); });
    const update = () => { input.value = model.get(trait); shown.textContent = `${model.get(trait)} %`; };
    return [h("label", { class: "slide" }, h("span", {}, label), input, shown), update];
  };
  const [limit, showLimit] = slider("limit", "A host may be busy, at most", 20, 100);
  const [idle, showIdle] = slider("idle", "An idle host draws, of its peak power", 0, 100);
  const before = h("div", { class: "hosts" }), after = h("div", { class: "hosts" });
  const titleBefore = h("h3"), titleAfter = h("h3"), energy = h("p", { role: "status" });
  el.append(h("div", { class: "xl xl-consolidation" },
    h("div", { class: "slides" }, limit, idle),
    titleBefore, before, titleAfter, after, energy));
  const hosts = (list) => list.map((host) =>
    h("div", { class: "host", title: host.names }, h("div", { class: "peak", style: `height: ${host.peak}%` }),
      h("div", { class: "mean", style: `height: ${host.mean}%` }),
      host.count > 1 ? h("span", {}, String(host.count)) : null));
  return follow(model, ["limit", "idle", "result"], () => {
    const result = model.get("result");
    showLimit(); showIdle();
    titleBefore.textContent = result.before;
    titleAfter.textContent = result.after;
    energy.innerHTML = result.energy;
    if (!before.childElementCount) before.append(...hosts(model.get("alone")));
    after.replaceChildren(...hosts(result.hosts));
  });
}

export default { render };

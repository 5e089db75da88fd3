/** A run as a picture with a veil over what has not happened yet, and under it sliders, and the shares they lead to. */
function render({ model, el }) {
  const stage = h("div", { class: "stage" });
  const domains = h("div", { class: "domains" });
  const legend = h("p", { class: "legend" });
  const select = h("select", {
    onchange: () => { model.set("scheduler", select.value); model.save_changes(); },
  }, ...model.get("schedulers").map((name) => h("option", { value: name }, name)));
  const root = h("div", { class: "xl xl-whatif", tabindex: 0, "aria-label": "A run of a scheduler, moment by moment" },
    h("div", { class: "head" },
      h("label", {}, "Scheduler", select), pcpus(model.get("pcpus")), h("span", { class: "gap" }),
      h("span", { class: "badge" }, "simulated")),
    stage);
  el.append(root);

  const svgElement = (tag, attributes) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  };
  let veil, cursor;
  function picture() {
    stage.innerHTML = model.get("svg");
    const svg = stage.firstElementChild;
    const height = svg.viewBox.baseVal.height - 30;
    veil = svgElement("rect", { y: 0, height, style: "fill: var(--xl-paper); fill-opacity: 0.78" });
    cursor = svgElement("line", { y1: 2, y2: height, style: "stroke: var(--xl-accent); stroke-width: 1.5" });
    svg.append(veil, cursor);
    draw(model.get("moment"));
  }
  function draw(moment) {
    const xs = model.get("xs"), x = xs[moment];
    veil.setAttribute("x", x);
    veil.setAttribute("width", Math.max(0, xs[xs.length - 1] - x + 1));
    cursor.setAttribute("x1", x);
    cursor.setAttribute("x2", x);
  }

  /** Send one domain's new weight or cap. */
  function turn(number, change) {
    model.set("knobs", model.get("knobs").map((knob, i) => (i === number ? { ...knob, ...change } : knob)));
    model.save_changes();
  }
  const weights = model.get("weights");
  const rows = model.get("shares").map((share, i) => {
    const weight = h("input", {
      type: "range", min: 0, max: weights.length - 1, "aria-label": `Weight of ${share.name}`,
      oninput: () => turn(i, { weight: weights[weight.value] }),
    });
    const cap = h("input", {
      type: "range", min: 0, max: 100 * share.most, step: 5, "aria-label": `Cap of ${share.name}`,
      oninput: () => turn(i, { cap: Number(cap.value) }),
    });
    const row = {
      weight, cap, weightSaid: h("output"), capSaid: h("output"), number: h("span", { class: "number" }),
      fill: h("div", { class: "fill", style: `background: ${share.colour}` }), real: h("div", { class: "real" }),
    };
    domains.append(
      h("span", { class: "name" }, h("span", { class: "swatch", style: `background: ${share.colour}` }), share.name),
      h("span", { class: "knob" }, weight, row.weightSaid), h("span", { class: "knob" }, cap, row.capSaid),
      h("div", { class: "bar" }, row.fill, row.real), row.number);
    return row;
  });
  domains.prepend(...["Domain", "Weight", "Cap", "Share of one pCPU", ""].map((text) => h("span", { class: "top" }, text)));

  function settings() {
    select.value = model.get("scheduler");
    model.get("knobs").forEach((knob, i) => {
      const row = rows[i];
      const stop = weights.reduce((best, each, j) =>
        (Math.abs(each - knob.weight) < Math.abs(weights[best] - knob.weight) ? j : best), 0);
      row.weight.value = stop;
      row.weightSaid.textContent = knob.weight;
      row.cap.value = knob.cap;
      row.cap.disabled = !model.get("capped");
      row.capSaid.textContent = knob.cap && model.get("capped") ? `${knob.cap} %` : "no cap";
    });
  }
  function shares() {
    const all = model.get("shares");
    const most = Math.max(1, ...all.map((share) => Math.min(share.most, model.get("pcpus"))));
    const percent = (value) => `${(100 * value).toFixed(1)} %`;
    all.forEach((share, i) => {
      const row = rows[i], known = share.measured !== null;
      row.fill.style.width = `${(100 * share.predicted) / most}%`;
      row.real.hidden = !known;
      if (known) row.real.style.left = `${(100 * share.measured) / most}%`;
      row.number.textContent = percent(share.predicted) + (known ? ` (${percent(share.measured)})` : "");
    });
    legend.textContent = all.some((share) => share.measured !== null)
      ? `Bars: predicted by the model. Mark, and in brackets: ${model.get("source_of_measured")}.`
      : `Bars: predicted by the model, over ${model.get("counted_over")} simulated seconds.`;
    const caption = root.querySelector(".xl-caption");
    if (caption) caption.innerHTML = model.get("captions")[model.get("moment")];
  }

  const undo = [follow(model, ["svg"], picture), player(model, root, draw)];
  root.append(domains, legend);
  undo.push(follow(model, ["knobs", "scheduler", "capped"], settings), follow(model, ["shares", "captions", "counted_over"], shares));
  domains.addEventListener("keydown", (event) => event.stopPropagation()); // sliders keep their arrow keys
  return () => undo.forEach((each) => each());
}

function pcpus(number) {
  return h("span", { class: "soft" }, number === 1 ? "1 pCPU" : `${number} pCPUs`);
}

export default { render };

function render({ model, el }) {
  const rows = model.get("rows"), steps = model.get("steps");
  const lines = rows.map((row) => h("tr", { "data-address": row.address },
    h("td", { class: "soft" }, row.address), h("td", { class: "label" }, row.label), h("td", {}, h("code", {}, row.text))));
  const listing = h("div", { class: "listing", tabindex: 0, role: "group", "aria-label": "The program" },
    h("table", {}, h("tbody", {}, ...lines)));
  const box = (title, body) => h("div", { class: "phase" }, h("h3", {}, title), body);
  const fetched = h("div", { class: "line" }), decoded = h("div", { class: "parts" }), executed = h("div", { class: "line" });
  const registers = h("div", { class: "registers" }), device = h("div", { class: "line" }), console_ = h("pre", { class: "console" });
  const root = h("div", { class: "xl xl-stepper", tabindex: 0, "aria-label": `A program on ${model.get("title")}, step by step` },
    h("div", { class: "halves" }, listing, h("div", { class: "machine" },
      box("Fetch", fetched), box("Decode", decoded), box("Execute", executed),
      box("Registers", registers), box("Serial port", h("div", {}, device, console_)))));
  el.append(root);
  return player(model, root, (moment) => {
    const step = steps[moment - 1];
    lines.forEach((line) => line.classList.toggle("now", Boolean(step) && line.dataset.address === step.address));
    const now = lines.find((line) => line.classList.contains("now"));
    if (now) listing.scrollTop = now.offsetTop - listing.clientHeight / 2;
    fetched.textContent = step ? `from ${step.address}` : "–";
    decoded.replaceChildren(...(step ? step.parts : []).map(([digits, means]) =>
      h("span", { class: means ? "part" : "part unused" }, h("code", {}, digits), h("span", {}, means || "–"))));
    executed.textContent = step ? step.does : "–";
    registers.replaceChildren(...(step || { registers: (steps[0] || { registers: [] }).registers.map(([name]) => [name, "0", false]) })
      .registers.map(([name, value, changed]) =>
        h("span", { class: changed ? "register changed eased" : "register eased" }, h("b", {}, name), h("span", {}, value))));
    device.textContent = step && step.device ? step.device : "–";
    console_.textContent = step ? step.console || " " : " ";
  });
}

export default { render };

function render({ model, el }) {
  const steps = model.get("steps"), groups = model.get("groups");
  const row = (name) => { const value = h("td"); return [h("tr", {}, h("th", { scope: "row" }, name), value), value]; };
  const [modeRow, mode] = row("Mode"), [realRow, real] = row("Mode of the real processor"), [interruptsRow, interrupts] = row("Interrupts"),
    [rootRow, root_] = row("Page table");
  if (model.get("name") === "hardware-assisted") real.textContent = "guest mode"; else real.textContent = "user, always";
  const guest = h("table", {}, h("tbody", {}, modeRow, interruptsRow, rootRow, realRow));
  const reason = h("p", { class: "reason" }), instruction = h("p", {}), done = h("p", {});
  const console_ = h("pre", { class: "console" });
  const bars = groups.map((group) => {
    const fill = h("div", { class: "fill" }), value = h("span", { class: "value" });
    return [h("div", { class: "bar" }, h("span", { class: "name" }, group), h("div", { class: "track" }, fill), value), fill, value, group];
  });
  const most = Math.max(1, ...groups.map((group) => steps.at(-1).counts[group]));
  const root = h("div", { class: "xl xl-monitored", tabindex: 0, "aria-label": `A guest under a monitor: ${model.get("name")}` },
    h("div", { class: "halves" },
      h("div", {}, h("h3", {}, "What the guest believes"), guest, h("h3", {}, "Its console"), console_),
      h("div", {}, h("h3", {}, "This exit"), h("div", { class: "exit" }, reason, instruction, done),
        h("h3", {}, "Exits so far"), ...bars.map(([bar]) => bar))));
  el.append(root);
  return player(model, root, (moment) => {
    const step = steps[moment - 1];
    mode.textContent = step ? step.mode : "supervisor";
    interrupts.textContent = step ? step.interrupts : "kept out";
    root_.textContent = step ? step.root : "off";
    reason.textContent = step ? step.reason : "none yet";
    instruction.replaceChildren(...(step ? [h("code", {}, step.instruction || step.pc), ` in ${step.was === "kernel" ? "the guest’s kernel" : "a task"}`] : [" "]));
    done.textContent = step ? `The monitor: ${step.done}.` : " ";
    console_.textContent = step ? step.console || " " : " ";
    for (const [, fill, value, group] of bars) {
      const count = step ? step.counts[group] : 0;
      fill.style.width = `${(100 * count) / most}%`;
      value.textContent = count;
    }
  });
}

export default { render };

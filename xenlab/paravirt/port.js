function render({ model, el }) {
  const versions = model.get("versions");
  const tabs = versions.map((one, i) =>
    h("button", { role: "tab", onclick: () => { model.set("chosen", i); model.save_changes(); } }, one.name));
  const count = h("span", { class: "soft" });
  const body = h("div", { class: "diff", tabindex: 0, role: "region", "aria-label": "Changed lines" });
  el.append(h("div", { class: "xl xl-port" }, h("div", { class: "tabs", role: "tablist" }, ...tabs, count), body));
  const kind = { "+": "in", "-": "out", "@": "gap", " ": "" };
  return follow(model, ["chosen"], () => {
    const i = model.get("chosen"), one = versions[i];
    tabs.forEach((tab, k) => {
      tab.setAttribute("aria-selected", String(k === i));
      tab.classList.toggle("main", k === i);
    });
    count.textContent = `${one.out} lines out, ${one.in} lines in`;
    body.replaceChildren(...one.lines.map((line) => h("div", { class: `line ${kind[line.sign]}` },
      h("span", { class: "sign" }, line.sign === "@" ? " " : line.sign), line.text)));
    body.scrollTop = 0;
  });
}

export default { render };

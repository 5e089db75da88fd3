function render({ model, el }) {
  const row = ([form, ...rest]) => h("tr", {}, h("th", { scope: "row" }, form), ...rest.map((each) => h("td", {}, each)));
  el.append(h("div", { class: "xl xl-comparison" }, h("table", {},
    h("thead", {}, h("tr", {}, ...model.get("heads").map((head) => h("th", { scope: "col" }, head)))),
    h("tbody", {}, ...model.get("rows").map(row)))));
}

export default { render };

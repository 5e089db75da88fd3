function render({ model, el }) {
  const slider = (name, label, min) => {
    const value = h("output", {});
    const input = h("input", { type: "range", min, max: 4, "aria-label": label, oninput: () => {
      model.set(name, Number(input.value));
      model.save_changes();
    } });
    return [h("label", { class: "slider" }, h("span", {}, label), input, value), input, value];
  };
  const [guest, guestInput, guestValue] = slider("levels", "Levels of the guest’s table", 1);
  const [nested, nestedInput, nestedValue] = slider("nested", "Levels of the nested table", 0);
  const grid = h("div", { class: "grid" }), count = h("p", { class: "count-line" });
  const root = h("div", { class: "xl xl-walk", tabindex: 0, "aria-label": "A walk through two page tables" },
    h("div", { class: "sliders" }, guest, nested), grid, count);
  el.append(root);
  const paint = () => {
    const cells = model.get("cells"), levels = model.get("levels"), deep = model.get("nested"), moment = model.get("moment");
    guestInput.value = guestValue.textContent = levels;
    nestedInput.value = nestedValue.textContent = deep;
    grid.style.gridTemplateColumns = `minmax(104px, auto) repeat(${deep + 1}, minmax(0, 1fr))`;
    const heads = [h("span"), ...Array.from({ length: deep }, (_, i) => h("span", { class: "head" }, `nested ${i + 1}`)),
      h("span", { class: "head" }, "guest’s table")];
    const rows = Array.from({ length: levels + (deep ? 1 : 0) }, (_, row) => [
      h("span", { class: "name" }, row < levels ? `guest level ${row + 1}` : "the page itself"),
      ...Array.from({ length: deep + 1 }, (_, column) => {
        const number = cells.findIndex((cell) => cell.row === row && cell.column === column);
        if (number < 0) return h("span");
        const done = number < moment, now = number === moment - 1;
        return h("span", { class: `cell${column === deep ? " own" : ""}${done ? " done" : ""}${now ? " now" : ""}`, title: cells[number].entry },
          h("b", {}, String(number + 1)), done ? h("code", {}, cells[number].entry) : "");
      }),
    ]);
    grid.replaceChildren(...heads, ...rows.flat());
    const product = deep ? `${levels} + ${deep} + ${levels} · ${deep} = ` : "";
    count.textContent = `${product}${cells.length} memory references for one address, ${model.get("address")}`;
  };
  const stop = player(model, root, paint);
  const unfollow = follow(model, ["cells"], paint);
  return () => { stop(); unfollow(); };
}

export default { render };

const CALLS = {
  map: ["Map", ["page", "slot", "write"]],
  unmap: ["Unmap", ["slot"]],
  pin: ["Pin", ["page", "level"]],
  unpin: ["Unpin", ["page"]],
  release: ["Give back to Xen", ["page"]],
};

/** A guest's pages with their counts, a row of fields for the next call, and what Xen has answered so far. */
function render({ model, el }) {
  const options = (values) => values.map(([value, text]) => h("option", { value }, text));
  const numbers = (first, last, text) => Array.from({ length: last - first + 1 }, (_, i) => [first + i, text(first + i)]);
  const fields = {
    page: h("select", { "aria-label": "Page" }, ...options([...numbers(0, 7, (n) => `page ${n}`), [8, "a neighbour's page"]])),
    slot: h("select", { "aria-label": "Entry" }, ...options(numbers(0, 15, (n) => `entry ${n} of L1`))),
    write: h("select", { "aria-label": "Access" }, ...options([[1, "to be written"], [0, "to be read"]])),
    level: h("select", { "aria-label": "Level" }, ...options(numbers(1, 4, (n) => `as an L${n} table`))),
  };
  fields.slot.value = 9;
  const call = h("select", { "aria-label": "Call", onchange: () => show() },
    ...options(Object.entries(CALLS).map(([name, [label]]) => [name, label])));
  const ask = h("button", {
    class: "main", onclick: () => {
      const content = { call: call.value };
      for (const name of CALLS[call.value][1]) content[name] = name === "write" ? fields.write.value === "1" : Number(fields[name].value);
      model.send(content);
    },
  }, "Ask Xen");
  const again = h("button", { onclick: () => model.send({ call: "restart" }) }, "New guest");
  const body = h("tbody"), log = h("div", { class: "log", role: "log", tabindex: 0, "aria-label": "What Xen answered" });
  el.append(h("div", { class: "xl xl-calls" },
    h("div", { class: "head" }, h("h3", {}, "A guest of eight pages, and Xen"), h("span", { class: "gap" }),
      h("span", { class: "badge" }, "simulated")),
    h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {},
      ...["Page", "Frame", "In use as", "Uses", "References", "Mapped by entry"].map((name) => h("th", { scope: "col" }, name)))), body)),
    h("div", { class: "ask" }, call, fields.page, fields.slot, fields.level, fields.write, ask, h("span", { class: "gap" }), again),
    log));

  function show() {
    for (const [name, field] of Object.entries(fields)) field.hidden = !CALLS[call.value][1].includes(name);
  }
  show();
  const unfollow = [
    follow(model, ["pages"], () => body.replaceChildren(...model.get("pages").map((row) =>
      row.frame === null
        ? h("tr", { class: "gone" }, h("th", { scope: "row" }, row.page), h("td", { colspan: 5 }, row.words))
        : h("tr", {}, h("th", { scope: "row" }, row.page), h("td", {}, h("code", {}, row.frame)),
          h("td", {}, h("span", { class: `kind ${row.kind}` }, row.words)), h("td", { class: "number" }, row.uses),
          h("td", { class: "number" }, row.references), h("td", {}, row.mapped))))),
    follow(model, ["answers"], () => log.replaceChildren(...(model.get("answers").length
      ? [...model.get("answers")].reverse().map((answer) =>
        h("div", { class: answer.refused ? "answer refused" : "answer" },
          h("div", {}, icon(answer.refused ? "wrong" : "right"), ` ${answer.asked}: `,
            h("strong", {}, answer.refused || "done")),
          answer.lines.length ? h("pre", {}, answer.lines.map((line) => `(XEN) ${line}`).join("\n")) : null))
      : [h("span", { class: "soft" }, "Nothing has been asked yet.")]))),
  ];
  return () => unfollow.forEach((stop) => stop());
}

export default { render };

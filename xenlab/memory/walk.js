/** An address as its parts, and below it a card for each table that it leads through, as far as the walk has come. */
function render({ model, el }) {
  const input = h("input", {
    type: "text", size: 20, spellcheck: "false", autocomplete: "off", "aria-label": "Virtual address",
  });
  const form = h("form", {
    onsubmit: (event) => { event.preventDefault(); model.set("address", input.value); model.save_changes(); },
  }, h("label", {}, "Virtual address", input), h("button", { type: "submit" }, "Walk"));
  const complaint = h("p", { class: "complaint", role: "alert" });
  const parts = h("div", { class: "parts" }), cards = h("div", { class: "cards" }), reads = h("span", { class: "reads" });
  const root = h("div", { class: "xl xl-walk", tabindex: 0, "aria-label": "An address walked through page tables" },
    h("div", { class: "head" }, form, h("span", { class: "gap" }), reads,
      h("span", { class: "badge" }, model.get("simulated") ? "simulated" : "real Xen")),
    complaint, parts, cards);
  el.append(root);

  const level = (i) => `level${Math.min(i, 4)}`;
  function draw(moment) {
    const { card: last, whole, reads: count } = model.get("moments")[moment];
    reads.textContent = count ? `${count} read${count > 1 ? "s" : ""} of memory` : "";
    parts.replaceChildren(...model.get("parts").map((part, i) =>
      h("div", { class: `part ${level(i)} ${i === last ? "now" : ""}` },
        h("span", { class: "name" }, part.name), h("code", {}, part.bits), h("span", { class: "number" }, part.number))));
    cards.replaceChildren(...model.get("cards").map((card, i) => {
      const shown = i < last || (i === last && whole), begun = i <= last;
      const page = card.slot === undefined;
      const row = (label, text) => h("div", { class: "row" }, h("span", { class: "soft" }, label), h("code", {}, text));
      return h("div", { class: `card ${page ? "level4" : level(i)} ${i === last ? "now" : ""} ${begun ? "" : "ahead"}` },
        h("div", { class: "title" }, card.name),
        begun && card.page && (!page || shown) ? row("guest's page", card.page) : null,
        begun ? row("frame", card.frame) : null,
        shown && !page ? row(`entry ${card.slot}`, card.value) : null,
        shown && !page ? row("flags", card.letters) : null,
        shown && !page ? h("div", { class: "target" }, "→ ", card.target) : null,
        begun && page ? row("machine address", card.value) : null,
        shown && page && card.target ? row("guest-physical", card.target) : null,
        shown && page ? h("div", { class: "target" }, card.letters) : null);
    }));
  }
  const stop = player(model, root, draw);
  const unfollow = [
    follow(model, ["address", "complaint"], () => {
      if (!model.get("complaint")) input.value = model.get("address");
      complaint.textContent = model.get("complaint");
    }),
  ];
  return () => { stop(); unfollow.forEach((undo) => undo()); };
}

export default { render };

let quizzes = 0;

function render({ model, el }) {
  const name = `xl-quiz-${(quizzes += 1)}`;
  const feedback = h("div", { class: "feedback", role: "status" });
  const boxes = model.get("options").map((option, i) =>
    h("div", { class: "option" },
      h("label", {},
        h("input", { type: "radio", name, value: i, onchange: () => choose(i) }),
        h("span", { html: option.text }))));

  function choose(i) {
    model.set("chosen", i);
    model.save_changes();
  }

  function update() {
    const chosen = model.get("chosen");
    boxes.forEach((box) => box.classList.remove("is-right", "is-wrong"));
    if (chosen < 0) return;
    const { right, feedback: words } = model.get("options")[chosen];
    boxes[chosen].classList.add(right ? "is-right" : "is-wrong");
    boxes[chosen].querySelector("input").checked = true;
    feedback.replaceChildren(
      h("span", { class: "verdict" }, icon(right ? "right" : "wrong"), right ? " Right." : " Not this one."),
      h("span", { html: words }));
    boxes[chosen].append(feedback);
  }

  el.append(
    h("div", { class: "xl xl-quiz" },
      h("fieldset", {}, h("legend", { html: model.get("question") }), ...boxes)));
  return follow(model, ["chosen"], update);
}

export default { render };

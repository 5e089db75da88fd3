function render({ model, el }) {
  const box = transcriptBox();
  el.append(h("div", { class: "xl" }, box));
  return follow(model, ["rows"], () => fillTranscript(box, model.get("rows")));
}

export default { render };

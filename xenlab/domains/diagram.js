/** Put the light of a diagram that Python drew on one state's box and one event's arrow; "" is no arrow. */
function light(svg, state, event) {
  for (const box of svg.querySelectorAll(".box"))
    box.classList.toggle("lit", box.dataset.state === state);
  for (const arrow of svg.querySelectorAll(".arrow"))
    arrow.classList.toggle("lit", arrow.dataset.events.split(",").includes(event));
  const lit = svg.querySelector(".box.lit text");
  svg.querySelector("desc").textContent = lit ? `Lit: ${lit.textContent}.` : "Nothing is lit.";
}

// Finds sections: all words must be there, as beginnings of words; a hit in a heading counts more than one in the text.
{
  /** Lower case, without accents. */
  const plain = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
  const entries = book.index.map((entry) => ({
    ...entry, head: plain(`${entry.title} ${entry.portuguese}`), body: plain(entry.text),
  }));
  const input = document.querySelector("#search input"), list = document.querySelector("#found");
  const count = document.querySelector("#count");
  const escaped = (word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

  function find(words) {
    const starts = words.map((word) => new RegExp(`(?<![\\p{L}\\p{N}])${escaped(word)}`, "gu"));
    const times = (text, start) => (text.match(start) ?? []).length;
    return entries
      .map((entry) => {
        const points = starts.map((start) => 12 * Math.min(times(entry.head, start), 2) + Math.min(times(entry.body, start), 6));
        return { entry, points: points.every(Boolean) ? points.reduce((a, b) => a + b, 0) : 0 };
      })
      .filter(({ points }) => points)
      .sort((a, b) => b.points - a.points)
      .slice(0, 40)
      .map(({ entry }) => entry);
  }

  /** The text around the first hit, the hits marked. */
  function excerpt({ text, body }, words) {
    const hit = Math.max(0, Math.min(...words.map((word) => body.indexOf(word)).filter((at) => at >= 0), text.length));
    const from = hit === text.length ? 0 : Math.max(0, text.lastIndexOf(" ", Math.max(0, hit - 60)));
    const piece = text.slice(from, from + 200);
    const folded = plain(piece), p = document.createElement("p");
    let at = 0;
    if (folded.length === piece.length) // else an accent has shifted the letters, and nothing is marked
      for (const { index, 0: word } of folded.matchAll(new RegExp(words.map(escaped).join("|"), "g"))) {
        const mark = document.createElement("mark");
        mark.textContent = piece.slice(index, index + word.length);
        p.append(piece.slice(at, index), mark);
        at = index + word.length;
      }
    p.append(`${piece.slice(at)} …`);
    return p;
  }

  function search() {
    const words = plain(input.value).split(/\s+/).filter(Boolean);
    const found = words.length ? find(words) : [];
    list.replaceChildren(...found.map((entry) => {
      const item = document.createElement("li"), link = document.createElement("a"), place = document.createElement("span");
      link.href = entry.href;
      link.textContent = entry.title;
      place.className = "place";
      place.textContent = entry.page;
      item.append(link, " ", place);
      if (entry.portuguese) {
        const portuguese = document.createElement("em");
        portuguese.lang = "pt";
        portuguese.textContent = entry.portuguese;
        link.append(" · ", portuguese);
      }
      item.append(excerpt(entry, words));
      return item;
    }));
    count.textContent = words.length ? `${found.length || "No"} place${found.length === 1 ? "" : "s"} found.` : "";
  }

  input.value = new URLSearchParams(location.search).get("q") ?? "";
  input.addEventListener("input", search);
  search();
}

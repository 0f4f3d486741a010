// Sorts and filters the ranking, chooses a pair, copies commands; needs no network.
function sortBy(th) {
  const table = th.closest("table"), body = table.tBodies[0], column = [...th.parentNode.children].indexOf(th);
  const down = th.dataset.order ? th.dataset.order === "up" : th.classList.contains("n") && th.dataset.first !== "up";
  table.querySelectorAll("th").forEach(other => delete other.dataset.order);
  th.dataset.order = down ? "down" : "up";
  const value = row => row.cells[column].dataset.v ?? row.cells[column].textContent;
  const rows = [...body.rows].sort((a, b) => {
    const x = value(a), y = value(b);
    if (x === "" || y === "") return (x === "") - (y === "");  // runs without a result stay last
    const order = isNaN(x) || isNaN(y) ? String(x).localeCompare(y, undefined, {numeric: true}) : x - y;
    return down ? -order : order;
  });
  body.append(...rows);
}
document.querySelectorAll("table.sortable th").forEach(th => th.addEventListener("click", () => sortBy(th)));
const filter = document.getElementById("filter");
if (filter) filter.addEventListener("input", () => {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const row of document.querySelector("#ranking table").tBodies[0].rows) {
    const text = row.dataset.text.toLowerCase();
    row.hidden = !words.every(word => text.includes(word));
    shown += !row.hidden;
  }
  document.getElementById("shown").textContent = words.length ? `${shown} shown` : "";
});
const pick = document.getElementById("pair");
if (pick) {
  const show = () => document.querySelectorAll("[data-pair]").forEach(e => { e.hidden = e.dataset.pair !== pick.value; });
  pick.addEventListener("change", show);
  show();
}
document.querySelectorAll("button[data-copy]").forEach(button => button.addEventListener("click", () => {
  const area = document.createElement("textarea");  // pages from file:// may not use the clipboard API
  area.value = button.dataset.copy;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
  button.textContent = "copied";
  setTimeout(() => { button.textContent = "copy"; }, 1200);
}));

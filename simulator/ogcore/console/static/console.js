// What htmx does not do: say that the connection is lost, let go of pages in the background, fill a page that waited
// for ogCore, choose all clients of a room, take a double click for one, say what would be overwritten, bring an
// outcome into view, clear away what was done well, search in tables, let a slider and its number say the same, and
// keep what is typed.
document.addEventListener("htmx:sse:error", () => { document.getElementById("lost").hidden = false; });
document.addEventListener("htmx:sse:before:connection", (event) => {
  if (event.detail.connection.attempt > 0) document.getElementById("lost").hidden = false;
});
document.addEventListener("htmx:sse:after:connection", () => {
  document.getElementById("lost").hidden = true;
  // htmx lets go when a page goes into the background. One that was opened there has no such moment, and would keep one
  // of the six connections that a browser has for a host. Only after this event there is something to let go.
  if (document.hidden) setTimeout(() => document.dispatchEvent(new Event("visibilitychange")));
});

document.addEventListener("change", (event) => {
  const form = event.target.form;
  if (!event.target.matches("[data-all]")) return;
  for (const box of form.querySelectorAll("[name=client]")) box.checked = event.target.checked;
});

document.addEventListener("htmx:after:swap", (event) => {
  if (document.querySelector("[data-waiting]") && !document.querySelector("#alerts .banner")) location.reload();
  const outcome = document.getElementById("outcome");
  if (outcome && outcome.childElementCount) outcome.scrollIntoView({ block: "nearest" });
  const draft = document.getElementById("draft");
  // What had the focus is gone.
  if (draft && event.detail.ctx.target === draft && document.activeElement === document.body) draft.focus();
  search();
});

const plain = (text) => text.toLowerCase().normalize("NFD").replace(/\p{M}/gu, "");

function search() {
  const field = document.getElementById("search");
  if (!field) return;
  const words = plain(field.value).split(/\s+/);
  const rows = [...document.querySelectorAll("[data-searched] tbody tr")];
  for (const row of rows) row.hidden = !words.every((word) => plain(row.textContent).includes(word));
  const shown = rows.filter((row) => !row.hidden).length;
  const found = document.getElementById("found");
  const text = field.dataset.count.replace("{shown}", shown).replace("{all}", rows.length);
  if (found.textContent !== text) found.textContent = text;
}
document.addEventListener("DOMContentLoaded", search);

document.addEventListener("input", (event) => {
  if (event.target.id === "search") search();
  const other = document.getElementById(event.target.dataset.pair);
  if (other) other.value = event.target.value;
  // A suggestion that is still on its way comes too late for what is being typed.
  if (event.target.id === "image-name") document.getElementById("places").dispatchEvent(new Event("htmx:abort"));
});

document.addEventListener("click", (event) => {
  // The second half of a double click, however fast the first was answered.
  if (event.detail < 2 || !event.target.closest("button[hx-disable], [hx-disable] button")) return;
  event.preventDefault();
  event.stopPropagation();
}, true);

document.addEventListener("htmx:confirm", (event) => {
  const { ctx } = event.detail, form = ctx.sourceElement;
  if (!form.matches(".deploy")) return;
  const { image, place } = form.elements, n = form.querySelectorAll("[name=client]:checked").length;
  const chosen = { image: image.value, place: place.selectedOptions[0].text, n };
  ctx.confirm = ctx.confirm.replace(/{(\w+)}/g, (_, name) => chosen[name]);
});

let clearing = 0;
document.addEventListener("htmx:after:request", (event) => {
  const notice = document.getElementById("notice");
  if (event.detail.ctx.target !== notice) return;
  clearTimeout(clearing);
  clearing = setTimeout(() => { if (notice.querySelector(".good")) notice.replaceChildren(); }, 10000);
});

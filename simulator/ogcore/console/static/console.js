// What htmx does not do: say that the connection is lost, fill a page that waited for ogCore, choose all clients of a
// room, bring an outcome into view, and clear away what was done well.
document.addEventListener("htmx:sse:error", () => { document.getElementById("lost").hidden = false; });
document.addEventListener("htmx:sse:before:connection", (event) => {
  if (event.detail.connection.attempt > 0) document.getElementById("lost").hidden = false;
});
document.addEventListener("htmx:sse:after:connection", () => { document.getElementById("lost").hidden = true; });

document.addEventListener("change", (event) => {
  const form = event.target.form;
  if (!event.target.matches("[data-all]")) return;
  for (const box of form.querySelectorAll("[name=client]")) box.checked = event.target.checked;
});

document.addEventListener("htmx:after:swap", () => {
  if (document.querySelector("[data-waiting]") && !document.querySelector("#alerts .banner")) location.reload();
  const outcome = document.getElementById("outcome");
  if (outcome && outcome.childElementCount) outcome.scrollIntoView({ block: "nearest" });
});

let clearing = 0;
document.addEventListener("htmx:after:request", (event) => {
  const notice = document.getElementById("notice");
  if (event.detail.ctx.target !== notice) return;
  clearTimeout(clearing);
  clearing = setTimeout(() => { if (notice.querySelector(".good")) notice.replaceChildren(); }, 10000);
});

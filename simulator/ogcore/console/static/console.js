// What htmx does not do: say that the connection is lost, choose all clients of a room, and show an outcome.
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
  const outcome = document.getElementById("outcome");
  if (outcome && outcome.childElementCount) outcome.scrollIntoView({ block: "nearest" });
});

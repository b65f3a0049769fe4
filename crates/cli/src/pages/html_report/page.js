// The zoom: each timeline keeps its middle where it is.
const zoom = document.querySelector(".zoom input");
zoom?.addEventListener("input", () => {
  for (const svg of document.querySelectorAll("svg.timeline")) {
    const view = svg.parentElement;
    const middle = (view.scrollLeft + view.clientWidth / 2) / svg.clientWidth;
    const width = Math.max(view.clientWidth, svg.dataset.width * 2 ** zoom.value);
    svg.setAttribute("width", width);
    view.scrollLeft = middle * width - view.clientWidth / 2;
  }
});

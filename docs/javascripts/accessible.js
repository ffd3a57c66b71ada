// What screen readers need and the theme lacks: its search is a dialog without a name, and the button of
// each block of code stands in a landmark of its own, all of them alike.
document$.subscribe(() => document.querySelector(".md-search").setAttribute("aria-label", "Search"));
new MutationObserver(() => {
  for (const nav of document.querySelectorAll(".md-code__nav:not([role])")) nav.setAttribute("role", "none");
}).observe(document.body, { childList: true, subtree: true });

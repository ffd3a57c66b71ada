// What a keyboard and a screen reader need and the theme lacks: its search is a dialog without a name; the
// button of each block of code, and each part of the table of contents, stands in a landmark of its own; and a
// wide table scrolls by the mouse alone.
document$.subscribe(() => document.querySelector(".md-search").setAttribute("aria-label", "Search"));

const reachableIfWide = new ResizeObserver((tables) => {
  for (const { target } of tables) target.tabIndex = target.scrollWidth > target.clientWidth ? 0 : -1;
});

function amend() {
  for (const nav of document.querySelectorAll(".md-code__nav, .md-nav--secondary .md-nav")) {
    nav.role = "none";
    nav.removeAttribute("aria-label");
  }
  for (const table of document.querySelectorAll(".md-typeset__scrollwrap")) reachableIfWide.observe(table);
}

amend();
new MutationObserver(amend).observe(document.body, { childList: true, subtree: true });

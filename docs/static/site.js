// The theme's buttons that open a part of the list of pages have no words: each gets those of the link beside it.
for (const button of document.querySelectorAll(".bd-sidebar summary")) {
  button.setAttribute("aria-label", `Pages of ${button.closest("li").querySelector("a").textContent.trim()}`);
}

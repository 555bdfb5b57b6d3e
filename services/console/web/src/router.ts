// The current page: the path and query of the address bar.
import { useEffect, useState } from "preact/hooks";

const watchers = new Set<() => void>();

export function navigate(to: string, options: { replace?: boolean } = {}): void {
  if (options.replace) history.replaceState(null, "", to);
  else history.pushState(null, "", to);
  for (const watcher of watchers) watcher();
}

export function usePlace(): URL {
  const [place, setPlace] = useState(() => new URL(location.href));
  useEffect(() => {
    const look = () => setPlace(new URL(location.href));
    watchers.add(look);
    addEventListener("popstate", look);
    look();
    return () => {
      watchers.delete(look);
      removeEventListener("popstate", look);
    };
  }, []);
  return place;
}

/** Changes parameters of the page's query. An empty value removes a parameter. */
export function setQuery(changes: Record<string, string>): void {
  const url = new URL(location.href);
  for (const [name, value] of Object.entries(changes)) {
    if (value === "") url.searchParams.delete(name);
    else url.searchParams.set(name, value);
  }
  navigate(url.pathname + url.search, { replace: true });
}

/** Follows plain clicks on links within the console without a reload. */
export function followLinks(event: MouseEvent): void {
  if (
    event.defaultPrevented ||
    event.button !== 0 ||
    event.metaKey ||
    event.ctrlKey ||
    event.shiftKey ||
    event.altKey
  ) {
    return;
  }
  const link = (event.target as Element | null)?.closest?.("a");
  if (!link || link.origin !== location.origin || link.target || link.hasAttribute("download")) return;
  if (link.hash && link.pathname === location.pathname) return;
  event.preventDefault();
  navigate(link.pathname + link.search);
  scrollTo(0, 0);
}

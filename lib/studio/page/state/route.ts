/** Where the page is, which the browser's address says. */
import { signal } from "@preact/signals";
import { addressOf, parseRoute, type Route } from "./address.js";

export const route = signal<Route>({ page: "image", image: null });

export function followAddress(): void {
  const read = () => {
    route.value = parseRoute(location.hash);
  };
  read();
  addEventListener("hashchange", read);
}

export function goTo(target: Route): void {
  location.hash = addressOf(target);
}

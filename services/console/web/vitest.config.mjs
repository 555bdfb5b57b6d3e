import { defineConfig } from "vitest/config";

// Test processes inherit these. The tests of dates need a time zone with daylight saving and a locale with known texts.
process.env.TZ = "Europe/Berlin";
process.env.LC_ALL = "en_US.UTF-8";

export default defineConfig({
  // Without `forks`, `TZ` could not be changed within a test.
  test: { include: ["tests/**/*.test.ts"], pool: "forks" },
});

/** What can be chosen, and what an address chose although nothing has it. */
export function withChosen(names: readonly string[], chosen: string): readonly string[] {
  return !chosen || names.includes(chosen) ? names : [...names, chosen];
}

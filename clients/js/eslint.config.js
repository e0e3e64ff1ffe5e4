import js from '@eslint/js';
import { defineConfig } from 'eslint/config';
import globals from 'globals';
import tseslint from 'typescript-eslint';

export default defineConfig(
  { ignores: ['dist'] },
  js.configs.recommended,
  {
    files: ['src/**/*.ts'],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { projectService: true } },
  },
  // In tests some functions run here, and some in a page.
  { files: ['*.js', 'tests/**', 'bench/**'], languageOptions: { globals: { ...globals.node, ...globals.browser } } },
);

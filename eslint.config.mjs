/** What is checked, and why, is in CONTRIBUTING.md; layout and line length are Prettier's. */
import eslint from '@eslint/js';
import tseslint from 'typescript-eslint';

/** The folders of lib/, lowest first: a folder may import its own row and the rows above it in this table. */
const layers = [
  ['native', 'errors', 'validate', 'main-context'],
  ['posix'],
  ['ipc', 'sync', 'shared'],
  ['process'],
  ['pool', 'manager', 'prefork'],
  ['demos', 'cli', 'copy'],
];

/** The entry points are for users, and for the programs that show what a user would write. */
const entryPoints = ['index', 'multiprocessing', 'prefork'];

/** Forbid these names directly under lib/, in every form of import there is. */
function forbidImports(files, names, message) {
  const pattern = `^(\\.\\./)+(${names.join('|')})(/.*)?$`;
  const selector = pattern.replaceAll('/', '\\/');
  return {
    files,
    rules: {
      'no-restricted-imports': ['error', { patterns: [{ regex: pattern, message }] }],
      'no-restricted-syntax': [
        'error',
        ...[
          'ImportExpression > Literal',
          'TSImportType Literal',
          'CallExpression[callee.name="require"] > Literal',
        ].map((where) => ({ selector: `${where}[value=/${selector}/]`, message })),
      ],
    },
  };
}

const direction = layers.slice(1).map((folders, index) => {
  const above = layers.slice(index + 2).flat();
  const isProgram = folders.includes('cli');
  // `prefork` is a folder and an entry point, and both are out of reach from below.
  const forbidden = [
    ...new Set([...above, ...(isProgram ? [] : entryPoints.filter((name) => !folders.includes(name)))]),
  ];
  return forbidImports(
    folders.map((folder) => `lib/${folder}/**/*.ts`),
    forbidden.length > 0 ? forbidden : ['(?!)'],
    `Imports point one way (${layers.map((row) => row.join(', ')).join(' <- ')}): take it as an argument.`,
  );
});

const nodeGlobals = Object.fromEntries(
  ['process', 'console', 'Buffer', 'URL', 'performance', 'setTimeout', 'clearTimeout', 'setImmediate', 'fetch'].map(
    (name) => [name, 'readonly'],
  ),
);

export default tseslint.config(
  { ignores: ['build/', 'dist/', 'test-dist/', 'prebuilds/', 'coverage/'] },
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  eslint.configs.recommended,
  {
    rules: {
      eqeqeq: ['error', 'always', { null: 'ignore' }],
      'no-empty': ['error', { allowEmptyCatch: false }],
      'no-var': 'error',
      'object-shorthand': 'error',
      'prefer-const': 'error',
    },
  },

  // The package.
  {
    files: ['lib/**/*.ts'],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { project: './tsconfig.json', tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/consistent-type-imports': ['error', { disallowTypeAnnotations: false }],
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-import-type-side-effects': 'error',
      '@typescript-eslint/no-unnecessary-type-assertion': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/no-require-imports': ['error', { allow: ['^node-gyp-build$'] }],
      // An `async` function turns what it throws into a rejection; that alone is a reason to have it.
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      // Methods are taken off objects on purpose, where Node's own have to be wrapped or called with another `this`.
      '@typescript-eslint/unbound-method': 'off',
    },
  },
  ...direction,
  {
    // The bottom row knows nobody above it; the files lie directly in lib/, so the path starts with `./`.
    files: layers[0].map((name) => `lib/${name}.ts`),
    rules: {
      'no-restricted-imports': [
        'error',
        {
          patterns: [
            {
              regex: `^\\./(${[...new Set([...layers.slice(1).flat(), ...entryPoints])].join('|')})(/.*)?$`,
              message: 'The lowest layer imports nothing from the layers above it.',
            },
          ],
        },
      ],
    },
  },
  // JSON and structured values of any shape pass through these two.
  { files: ['lib/native.ts', 'lib/ipc/serialize.ts'], rules: { '@typescript-eslint/no-explicit-any': 'off' } },

  // Tests: programs are written as a user would write them, also in odd ways; a promise nobody awaits is still a mistake.
  {
    files: ['test/**/*.ts', 'test/**/*.mts', 'test/**/*.cts', 'bench/**/*.ts'],
    extends: [tseslint.configs.recommended],
    languageOptions: { parserOptions: { project: './test/tsconfig.json', tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/consistent-type-imports': ['error', { disallowTypeAnnotations: false }],
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-require-imports': 'off',
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_', caughtErrorsIgnorePattern: '^_' },
      ],
      'no-empty': ['error', { allowEmptyCatch: true }],
    },
  },

  // Scripts and configuration.
  { files: ['**/*.mjs'], languageOptions: { sourceType: 'module', globals: nodeGlobals } },
  {
    files: ['**/*.js', '**/*.cjs'],
    languageOptions: {
      sourceType: 'commonjs',
      globals: { ...nodeGlobals, require: 'readonly', module: 'writable', exports: 'writable', __dirname: 'readonly' },
    },
  },
);

/**
 * npm's install step: take the prebuilt addon where there is one for this host, else compile it. Windows has no fork(),
 * so nothing is compiled there; the package can be imported and its calls say why they cannot work.
 */
if (process.platform !== 'win32') require('node-gyp-build/bin.js');

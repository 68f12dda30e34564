{
  # What the tests need of the system and neither Node nor the package has; see helper.c. Not part of the package.
  "targets": [
    {
      "target_name": "test_helper",
      "sources": ["helper.c"],
      "defines": ["NAPI_VERSION=9"],
      "cflags_c": ["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter"],
      "xcode_settings": { "WARNING_CFLAGS": ["-Wall", "-Wextra", "-Wno-unused-parameter"] }
    }
  ]
}

# What `cmake --install` puts beside the program: all of it is committed text, but for the manual
# pages, which scdoc makes (without scdoc there are none).
set(docdir ${CMAKE_INSTALL_DATAROOTDIR}/doc/freshet)

find_program(FR_SCDOC scdoc)
if(FR_SCDOC)
  file(GLOB pages CONFIGURE_DEPENDS packaging/man/*.scd)
  foreach(source IN LISTS pages)
    get_filename_component(page ${source} NAME_WLE)  # freshet.yaml.5
    string(REGEX REPLACE ".*\\." "" section ${page})
    set(made ${CMAKE_BINARY_DIR}/man/${page})
    add_custom_command(OUTPUT ${made} DEPENDS ${source}
      COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/man
      COMMAND ${FR_SCDOC} < ${source} > ${made} VERBATIM)
    list(APPEND manual ${made})
    install(FILES ${made} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
  endforeach()
  add_custom_target(manual ALL DEPENDS ${manual})
endif()

install(FILES packaging/completions/freshet.bash RENAME freshet
  DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/bash-completion/completions)
install(FILES packaging/completions/_freshet
  DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/zsh/vendor-completions)
install(FILES packaging/completions/freshet.fish
  DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/fish/vendor_completions.d)
install(FILES packaging/freshet.schema.json DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/freshet)
install(DIRECTORY schemas DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/freshet)
install(FILES packaging/systemd/freshet.sysusers RENAME freshet.conf DESTINATION lib/sysusers.d)
install(FILES README.md LICENSE CHANGELOG.md DESTINATION ${docdir})
install(DIRECTORY examples/ DESTINATION ${docdir}/examples PATTERN __pycache__ EXCLUDE)
install(DIRECTORY docs/ DESTINATION ${docdir}/docs FILES_MATCHING PATTERN "*.md")

# The unit names the program by its full path, which is known only now: --prefix counts.
install(CODE "
  file(READ \"${CMAKE_SOURCE_DIR}/packaging/systemd/freshet.service\" unit)
  string(REPLACE \"/usr/bin/freshet\" \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}/freshet\" unit \"\${unit}\")
  set(to \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/lib/systemd/system\")
  file(MAKE_DIRECTORY \"\${to}\")
  file(WRITE \"\${to}/freshet.service\" \"\${unit}\")
  message(STATUS \"Installing: \${to}/freshet.service\")
")

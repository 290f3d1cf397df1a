"""ssh_config(5): what the person's own SSH set-up says of a host, answered as `ssh -G` of OpenSSH 9.2 answers.

`lexer` cuts lines into words, `patterns` matches names, `keywords` knows what each keyword takes, `parse` makes a
file's text into lines, `files` reads the files and their Includes into sections, `choose` finds which sections hold for
a host, `answer` makes of that what our model needs, and `config` is the front of it all.
"""

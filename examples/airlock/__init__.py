"""Three machines that talk: two doors and the interlock between them, explored as a product."""

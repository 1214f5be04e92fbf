"""What tests share: real servers on free ports, and the files to give them."""

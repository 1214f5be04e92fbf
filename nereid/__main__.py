from nereid.cli import main

main()
